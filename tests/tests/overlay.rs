//! Many agents on one machine: the real libp2p nodes of all of them, on loopback in a namespace of their own.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use dfaas_tests::{
    overlay::{Options, Pace, measure},
    stop::Stop,
};

/// Slow enough for one machine: sixty agents that speak every second are more than two cores can listen to.
const SLOW: Option<Duration> = Some(Duration::from_secs(30));

fn options(nodes: usize, pace: Pace) -> Options {
    Options {
        nodes,
        functions: 10,
        pace,
        duration: Duration::from_secs(31),
        // Reached only where the test fails.
        patience: Duration::from_mins(10),
        stop: Stop::default(),
    }
}

#[test]
fn sixty_agents_form_one_overlay_in_which_all_know_all() {
    let report = measure(&options(60, Pace { period: SLOW, heartbeat: SLOW }), &|_| {}).unwrap();
    assert_eq!(report.nodes, 60);
    // Every broadcast names every peer, with every function.
    assert!(report.broadcast_bytes > 59 * (52 + 10 * "function000".len()), "{report:?}");
    assert!(report.broadcasts_per_s > 0.0 && report.states_per_s > 0.0, "{report:?}");
    assert!(report.bytes_per_s > report.states_per_s * report.state_bytes as f64, "{report:?}");
    assert!(report.cpu_percent > 0.0 && report.memory_mib > 0.0, "{report:?}");
}

#[test]
fn agents_that_are_told_to_be_quiet_are_measured_being_quiet() {
    let options = Options { duration: Duration::from_secs(3), ..options(5, Pace { period: None, heartbeat: None }) };
    let report = measure(&options, &|_| {}).unwrap();
    assert_eq!((report.broadcasts_per_s, report.states_per_s), (0.0, 0.0), "{report:?}");
    assert!(report.broadcast_bytes > 0 && report.state_bytes > 0, "both were said until all knew all");
}

#[test]
fn agents_that_cannot_wait_for_each_other_say_how_far_they_got() {
    let mut options = options(5, Pace { period: None, heartbeat: None });
    options.patience = Duration::ZERO;
    let error = measure(&options, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("not every agent is connected to all 4 others"), "{error}");
}
