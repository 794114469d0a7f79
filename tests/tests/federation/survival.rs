//! What clients notice when parts of a node die. The functions outlive the agents here, as those of OpenFaaS do.

use std::{thread, time::Duration};

use dfaas_tests::{
    client::{Call, Connections, Load, Running, Second, Tally},
    federation::Functions,
};

use crate::Bed;

/// A load of figlet on a node until it is stopped.
fn load(bed: &Bed, i: usize, rate: f64, connections: Connections) -> Running {
    let call = Call::post(bed.url(i, "/function/figlet"), "hello").timeout(Duration::from_secs(10));
    Load { call, rate, duration: None, connections }.start(&bed.from()).unwrap()
}

/// Asserts that all calls were answered with 200, and that there were any to speak of.
fn assert_unharmed(what: &str, tally: &Tally, at_least: u64) {
    let total = tally.total();
    assert_eq!(total.unsuccessful(), 0, "{what}: {:?}\n{}", total.outcomes, tally.troubles());
    assert!(total.calls() >= at_least, "{what}: only {} calls", total.calls());
}

#[test]
fn a_killed_agent_comes_back_without_one_failed_call() {
    let mut bed = Bed::new(|options| options.functions = Functions::Lasting);
    let per_call = load(&bed, 0, 4.0, Connections::PerCall);
    let kept = load(&bed, 0, 4.0, Connections::Kept);
    thread::sleep(Duration::from_secs(3));
    let haproxy = bed.haproxy_pid(0).unwrap();
    bed.kill_agent(0).unwrap();
    thread::sleep(Duration::from_secs(3));
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.wait_settled(crate::SETTLE).unwrap();
    thread::sleep(Duration::from_secs(3));
    assert_unharmed("a connection per call", &per_call.stop().unwrap(), 30);
    assert_unharmed("kept connections", &kept.stop().unwrap(), 30);
    assert_eq!(bed.haproxy_pid(0).unwrap(), haproxy, "the new agent takes the running HAProxy over");
    bed.stop();
}

#[test]
fn calls_go_on_when_a_peers_agent_dies() {
    let mut bed = Bed::new(|options| {
        options.functions = Functions::Lasting;
        options.rate_limits_of.insert("figlet".to_owned(), vec![5, 20, 30]);
    });
    // More than n1 may serve, less than the others have left each.
    let load = load(&bed, 0, 15.0, Connections::PerCall);
    settled_load(&load);
    bed.kill_agent(1).unwrap();
    let killed = load.elapsed();
    thread::sleep(Duration::from_secs(8));
    let tally = load.stop().unwrap();
    assert_unharmed_from(&tally, 2);
    // n2 had its share before, and is spared as soon as it is known to be silent.
    let by_n2 = |range: std::ops::Range<usize>| -> u64 {
        tally.seconds.iter().skip(range.start).take(range.len()).map(|s| s.served_by(&bed.nodes[1].id)).sum()
    };
    let killed = killed.as_secs() as usize;
    assert!(by_n2(2..killed) > 0, "n2 was never used");
    assert_eq!(by_n2(killed + 6..killed + 8), 0, "n2 is used though its agent is silent");
}

#[test]
fn calls_are_served_elsewhere_when_a_peers_machine_is_lost() {
    let mut bed = Bed::new(|options| {
        options.functions = Functions::Lasting;
        options.rate_limits_of.insert("figlet".to_owned(), vec![5, 20, 30]);
        // Calls that wait until n3 is known to be gone come to n2 together.
        options.settings.insert("AGENT_BURST".to_owned(), "3s".to_owned());
    });
    let load = load(&bed, 0, 15.0, Connections::PerCall);
    settled_load(&load);
    bed.lose_machine(2).unwrap();
    let lost = load.elapsed();
    thread::sleep(Duration::from_secs(8));
    let tally = load.stop().unwrap();
    // Calls that n3 was working on are lost; those that came to n1 later wait until n3 is known to be gone, at most.
    let later = lost.as_secs() as usize + 1;
    assert_unharmed_from(&tally, later);
    let in_flight = tally.total().unsuccessful() - tally.seconds[..2].iter().map(Second::unsuccessful).sum::<u64>();
    assert!(in_flight <= 3, "{in_flight} calls failed\n{}", tally.troubles());
    assert!(tally.seconds[2..later - 1].iter().any(|s| s.served_by(&bed.nodes[2].id) > 0), "n3 was never used");
}

/// Waits until the nodes have agreed on how to share a load.
fn settled_load(load: &Running) {
    thread::sleep(Duration::from_secs(5));
    assert!(load.tally().total_from(2).calls() > 0);
}

fn assert_unharmed_from(tally: &Tally, first: usize) {
    let total = tally.total_from(first);
    assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, tally.troubles());
    assert!(total.calls() >= 60, "only {} calls", total.calls());
}
