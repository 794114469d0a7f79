//! A peer that nobody here wrote: js-libp2p stands in for the agents of the original project, which speak Go's libp2p.
//!
//! `tests/interop` is its program; `cargo xtask test` installs what that needs.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod agent;
mod bed;
mod connections;
mod foreign;
mod messages;
mod ours;
mod rendezvous;
mod stand_in;
mod strategies;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Long enough for a loaded machine; reached only where a test fails.
const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// Tries again and again until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(POLL);
    }
}
