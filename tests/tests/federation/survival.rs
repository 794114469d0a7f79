//! What clients notice when parts of a node die. The functions outlive the agents here, as those of OpenFaaS do.

use std::{
    thread,
    time::{Duration, Instant},
};

use dfaas_tests::{
    client::{Call, Connections, Load, Outcome, Running, Second, Tally},
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
    thread::sleep(Duration::from_secs(6));
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.wait_joined(crate::SETTLE).unwrap();
    thread::sleep(Duration::from_secs(3));
    assert_unharmed("a connection per call", &per_call.stop().unwrap(), 30);
    assert_unharmed("kept connections", &kept.stop().unwrap(), 30);
    assert_eq!(bed.haproxy_pid(0).unwrap(), haproxy, "the new agent takes the running HAProxy over");
    bed.stop();
}

#[test]
fn calls_are_forwarded_on_while_the_agent_is_away() {
    let mut bed = Bed::new(|options| {
        options.functions = Functions::Lasting;
        options.rate_limits_of.insert("figlet".to_owned(), vec![5, 20, 30]);
    });
    let load = load(&bed, 0, 12.0, Connections::PerCall);
    settled_load(&load);
    bed.kill_agent(0).unwrap();
    // Long enough for the others to find the agent silent, less than the life of what they have granted.
    thread::sleep(Duration::from_secs(8));
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.wait_joined(crate::SETTLE).unwrap();
    thread::sleep(Duration::from_secs(3));
    assert_unharmed_from(&load.stop().unwrap(), 2);
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

#[test]
fn a_peer_that_leaves_is_spared_without_one_failed_call() {
    let mut bed = Bed::new(|options| {
        options.rate_limits_of.insert("figlet".to_owned(), vec![5, 20, 30]);
    });
    let load = load(&bed, 0, 15.0, Connections::PerCall);
    settled_load(&load);
    let before = load.elapsed().as_secs() as usize;
    bed.stop_agent(1).unwrap();
    thread::sleep(Duration::from_secs(3));
    let tally = load.stop().unwrap();
    assert!(tally.seconds[2..before].iter().any(|s| s.served_by(&bed.nodes[1].id) > 0), "n2 was never used");
    assert_unharmed_from(&tally, 2);
}

#[test]
fn an_agent_is_replaced_without_one_failed_call() {
    let mut bed = Bed::new(|options| {
        options.functions = Functions::Lasting;
        options.settings.insert("AGENT_DETACH_ON_EXIT".to_owned(), "false".to_owned());
        options.rate_limits_of.insert("figlet".to_owned(), vec![5, 20, 30]);
    });
    // A part of the calls is forwarded.
    let load = load(&bed, 0, 12.0, Connections::PerCall);
    settled_load(&load);
    let haproxy = bed.haproxy_pid(0).unwrap();
    bed.stop_agent(0).unwrap();
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.wait_joined(crate::SETTLE).unwrap();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(bed.haproxy_pid(0).unwrap(), haproxy, "the new agent takes the running HAProxy over");
    assert_unharmed_from(&load.stop().unwrap(), 2);
}

#[test]
fn calls_are_served_elsewhere_while_haproxy_starts_again() {
    let bed = Bed::new(|options| {
        options.rate_limits_of.insert("figlet".to_owned(), vec![20]);
    });
    let load = load(&bed, 0, 10.0, Connections::PerCall);
    settled_load(&load);
    kill_haproxy(&bed, 0);
    let total = nearly_unharmed(load);
    let others = total.calls() - total.unsuccessful() - total.served_by(&bed.nodes[0].id);
    assert!(others > 0, "no other node was used");
}

#[test]
fn calls_go_on_when_a_peers_haproxy_dies() {
    let bed = Bed::new(|options| {
        options.nodes = 2;
        options.rate_limits_of.insert("figlet".to_owned(), vec![20, 40]);
        options.rate_limits_of.insert("env".to_owned(), vec![0, 40]);
    });
    // All forwarded; while n2 cannot take them, n1 has nobody else: it says so at once, and they come to no harm later.
    let only_there = Call::get(bed.url(0, "/function/env"));
    assert_eq!(bed.served(&only_there).1, "n2");
    let load = load(&bed, 0, 30.0, Connections::PerCall);
    settled_load(&load);
    kill_haproxy(&bed, 1);
    thread::sleep(Duration::from_secs(3));
    let total = load.stop().unwrap().total_from(2);
    let answered = total.count(|outcome| matches!(outcome, Outcome::Answered { status: 200 | 429 | 503, .. }));
    assert!(total.calls() - answered <= 2, "{:?}", total.outcomes);
    assert_eq!(bed.served(&only_there).1, "n2", "n2 takes calls again");
}

/// Kills HAProxy, master and workers, and waits until it runs again.
fn kill_haproxy(bed: &Bed, i: usize) {
    let pid = bed.haproxy_pid(i).unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for pid in [pid].into_iter().chain(children.split_whitespace().map(|pid| pid.parse().unwrap())) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while bed.haproxy_pid(i).ok().is_none_or(|new| new == pid) {
        assert!(Instant::now() < deadline, "haproxy does not come back");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Connections that a process had when it died are lost with it, no others.
fn nearly_unharmed(load: Running) -> Second {
    thread::sleep(Duration::from_secs(3));
    let tally = load.stop().unwrap();
    let total = tally.total_from(2);
    assert!(total.unsuccessful() <= 2, "{:?}\n{}", total.outcomes, tally.troubles());
    total
}
