//! Whole nodes beside nodes that are not friendly: every message is valid, what it says is not.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod flood;
mod lies;
mod strangers;

use std::{fs, time::Duration};

use dfaas_tests::federation::{Node, Options, Watched};

/// For nodes to see each other, on a busy machine.
const SETTLE: Duration = Duration::from_mins(1);

/// Nodes that see each other, and a guest's host without an agent.
fn federation(change: impl FnOnce(&mut Options)) -> Watched {
    let federation = Watched::start(|options| {
        options.guests = 1;
        change(options);
    });
    federation.wait_settled(SETTLE).unwrap_or_else(|error| panic!("{error:#}"));
    federation
}

/// Bytes of HAProxy's configuration as it is now.
fn configuration(node: &Node) -> u64 {
    fs::metadata(node.run_dir.join("haproxy/haproxy.cfg")).unwrap().len()
}

fn log_lines(node: &Node) -> usize {
    String::from_utf8_lossy(&fs::read(&node.log).unwrap()).lines().count()
}

/// Bytes of memory that the agent holds.
fn agent_memory(node: &Node) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/statm", node.agent_pid().unwrap())).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
