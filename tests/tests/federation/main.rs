//! Whole nodes: agents, HAProxy, kernel programs and functions in namespaces, with real calls.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod control;
mod forgery;
mod gateway;
mod loss;
mod metrics;
mod modes;
mod nat;
mod planned;
mod reaction;
mod rights;
mod serving;
mod steady;
mod survival;

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use dfaas_tests::{
    client::{Answer, Call},
    federation::{Options, Watched},
    netns::Entrance,
};

/// For nodes to see each other, on a busy machine.
const SETTLE: Duration = Duration::from_mins(1);

/// A federation, and calls to it.
struct Bed(Watched);

impl Bed {
    /// Starts a federation and waits until all nodes see each other.
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let bed = Self(Watched::start(change));
        bed.wait_settled(SETTLE).unwrap_or_else(|error| panic!("{error:#}"));
        bed
    }

    /// Ends all agents; they must do so without complaint.
    fn stop(self) {
        self.0.stop();
    }

    /// The answer to a call from the client.
    fn call(&self, call: &Call) -> Answer {
        call.send(&self.from()).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn from(&self) -> Entrance {
        self.client().unwrap()
    }

    /// Name of the node that has answered.
    fn server(&self, answer: &Answer) -> Option<&str> {
        let id = answer.node()?;
        Some(&self.nodes[self.index_of(&id)?].name)
    }

    /// Asserts that a call was served, and returns by which node.
    fn served(&self, call: &Call) -> (Answer, String) {
        let answer = self.call(call);
        let (status, text) = (answer.status, answer.text());
        assert_eq!(status, 200, "{} {}: {text}", call.method, call.url);
        let server = self.server(&answer).unwrap_or_else(|| panic!("{} names no node", call.url)).to_owned();
        (answer, server)
    }
}

impl Deref for Bed {
    type Target = Watched;
    fn deref(&self) -> &Watched {
        &self.0
    }
}

impl DerefMut for Bed {
    fn deref_mut(&mut self) -> &mut Watched {
        &mut self.0
    }
}
