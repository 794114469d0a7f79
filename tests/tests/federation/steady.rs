//! The steady states of the prototype of 2021 (three nodes, one function), with whole agents in the original's arithmetic.

use std::{thread, time::Duration};

use dfaas_tests::client::{Call, Connections, Load, Outcome};

use crate::Bed;

/// Seconds that are judged, after those in which the nodes learn of each other's load.
const SECONDS: u64 = 12;
const SETTLING: u64 = 10;

/// Calls per second.
struct SteadyState {
    name: &'static str,
    limits: [u32; 3],
    offered: [f64; 3],
    /// By node that is called: served by each node, refused.
    expected: [([f64; 3], f64); 3],
}

const NOTHING: ([f64; 3], f64) = ([0.0; 3], 0.0);

/// Two steps half a period apart; the prototype used a minute.
fn bed(limits: [u32; 3]) -> Bed {
    Bed::new(|options| {
        options.rate_limits = limits.to_vec();
        let settings = [("AGENT_COMPAT", "true"), ("AGENT_RECALC_PERIOD", "2s"), ("AGENT_RATE_WINDOW", "4s")];
        options.settings.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    })
}

fn assert_reached(state: &SteadyState) {
    let bed = bed(state.limits);
    // On a busy machine agents may be late for seconds: it is then tried again.
    let deviations: Vec<_> = (0..3).map(|_| deviations(&bed, state)).take_while(|found| !found.is_empty()).collect();
    assert!(deviations.len() < 3, "{}: {deviations:#?}", state.name);
    bed.stop();
}

fn deviations(bed: &Bed, state: &SteadyState) -> Vec<String> {
    let called: Vec<usize> = (0..3).filter(|i| state.offered[*i] > 0.0).collect();
    let loads = called.iter().map(|i| {
        let call = Call::post(bed.url(*i, "/function/figlet"), "hello").timeout(Duration::from_secs(10));
        let duration = Some(Duration::from_secs(SETTLING + SECONDS));
        Load { call, rate: state.offered[*i], duration, connections: Connections::PerCall }.start(&bed.from()).unwrap()
    });
    let running: Vec<_> = loads.collect();
    thread::sleep(Duration::from_secs(SETTLING + SECONDS));
    let mut deviations = Vec::new();
    for (i, load) in called.into_iter().zip(running) {
        let total = load.stop().unwrap().total_from(SETTLING as usize);
        let mut compare = |what: String, found: u64, rate: f64| {
            let expected = rate * SECONDS as f64;
            if (found as f64 - expected).abs() > (expected * 0.05).max(2.0) {
                deviations.push(format!("calls of n{}, {what}: {found}, expected {expected:.0}", i + 1));
            }
        };
        let (served, refused) = &state.expected[i];
        for (node, rate) in served.iter().enumerate() {
            compare(format!("served by n{}", node + 1), total.served_by(&bed.nodes[node].id), *rate);
        }
        let refusals = total.count(|outcome| matches!(outcome, Outcome::Answered { status: 429 | 503, .. }));
        compare("refused".to_owned(), refusals, *refused);
    }
    deviations
}

#[test]
fn scenario_0_an_overloaded_node_is_helped_as_far_as_granted() {
    assert_reached(&SteadyState {
        name: "scenario 0",
        limits: [10, 20, 30],
        offered: [50.0, 0.0, 0.0],
        expected: [([10.0, 10.0, 15.0], 15.0), NOTHING, NOTHING],
    });
}

#[test]
fn scenario_1_a_busy_helper_grants_what_it_has_left() {
    assert_reached(&SteadyState {
        name: "scenario 1",
        limits: [10, 20, 30],
        offered: [50.0, 10.0, 0.0],
        expected: [([10.0, 5.0, 15.0], 20.0), ([0.0, 10.0, 0.0], 0.0), NOTHING],
    });
}

#[test]
fn scenario_2_two_overloaded_nodes_share_the_third() {
    assert_reached(&SteadyState {
        name: "scenario 2",
        limits: [10, 20, 30],
        offered: [50.0, 30.0, 0.0],
        expected: [([10.0, 0.0, 15.0], 25.0), ([0.0, 20.0, 10.0], 0.0), NOTHING],
    });
}

#[test]
fn scenario_3_nobody_helps_where_all_are_overloaded() {
    assert_reached(&SteadyState {
        name: "scenario 3",
        limits: [10, 20, 30],
        offered: [50.0, 50.0, 50.0],
        expected: [([10.0, 0.0, 0.0], 40.0), ([0.0, 20.0, 0.0], 30.0), ([0.0, 0.0, 30.0], 20.0)],
    });
}

/// Grants of 22 and 2 calls per second, so that nearly all of the excess is served.
#[test]
fn the_run_of_september_2021_is_reached() {
    assert_reached(&SteadyState {
        name: "2021-09-09",
        limits: [75, 60, 15],
        offered: [98.7, 15.8, 10.8],
        expected: [([75.0, 21.7, 2.0], 0.0), ([0.0, 15.8, 0.0], 0.0), ([0.0, 0.0, 10.8], 0.0)],
    });
}
