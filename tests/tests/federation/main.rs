//! Whole nodes: agents, HAProxy, kernel programs and functions in namespaces, with real calls.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod control;
mod forgery;
mod gateway;
mod loss;
mod modes;
mod planned;
mod reaction;
mod serving;
mod steady;
mod survival;

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    time::Duration,
};

use dfaas_tests::{
    client::{Answer, Call},
    federation::{Federation, Options},
    netns::Entrance,
};

/// For nodes to see each other, on a busy machine.
const SETTLE: Duration = Duration::from_mins(1);

/// A federation that shows the nodes' logs if the test fails.
struct Bed {
    federation: Option<Federation>,
    _directory: tempfile::TempDir,
}

impl Bed {
    /// Starts a federation and waits until all nodes see each other.
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let agent = Path::new(env!("CARGO_BIN_EXE_federation")).with_file_name("dfaas-agent");
        let directory = tempfile::tempdir().unwrap();
        let mut options = Options::new(&agent, directory.path());
        change(&mut options);
        let federation = Federation::start(options, &|_| {}).unwrap_or_else(|error| panic!("{error:#}"));
        let bed = Self { federation: Some(federation), _directory: directory };
        bed.wait_settled(SETTLE).unwrap_or_else(|error| panic!("{error:#}"));
        bed
    }

    /// Ends all agents; they must do so without complaint.
    fn stop(mut self) {
        let troubles = self.federation.take().map(Federation::stop);
        assert_eq!(troubles, Some(Vec::new()));
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
    type Target = Federation;
    fn deref(&self) -> &Federation {
        self.federation.as_ref().expect("it is stopped at the end only")
    }
}

impl DerefMut for Bed {
    fn deref_mut(&mut self) -> &mut Federation {
        self.federation.as_mut().expect("it is stopped at the end only")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(federation) = self.federation.as_ref().filter(|_| std::thread::panicking()) {
            federation.nodes.iter().for_each(|node| eprintln!("{}: {}", node.name, node.last_lines()));
        }
    }
}
