//! Peers that cannot take what they are given: another one does, or the client is told.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::{http::Name, verdict::Verdict};
use dfaas_tests::client::{Call, Connections, Failure, Load, Outcome, Piece, Tally};
use nix::{
    sys::signal::{SIGKILL, kill},
    unistd::Pid,
};

use crate::bed::{Bed, HANG, PLENTY};

const RATE: f64 = 60.0;

/// Three nodes; `shared` is run by n2 and n3 for n1.
fn bed() -> Result<Bed> {
    let bed = Bed::new(3, XdpPlace::Native)?;
    bed.deploy(0, "shared", "cat", 0)?;
    bed.deploy(1, "shared", "cat", PLENTY)?;
    bed.deploy(2, "shared", "cat", PLENTY)?;
    for node in [1, 2] {
        bed.wait_to_be_served("shared", node)?;
    }
    Ok(bed)
}

fn load(bed: &Bed, function: &str, seconds: u64) -> Result<dfaas_tests::client::Running> {
    let call = Call::post(bed.url(function), "hello").timeout(HANG);
    let duration = Some(Duration::from_secs(seconds));
    Load { call, rate: RATE, duration, connections: Connections::PerCall }.start(&bed.client)
}

/// Ends every process of HAProxy on a node at one moment.
fn kill_haproxy(bed: &Bed, node: usize) -> Result<()> {
    let pids = bed.federation.host(node).namespace.pids();
    let is_haproxy = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c == "haproxy\n");
    let pids: Vec<_> = pids.into_iter().filter(is_haproxy).collect();
    ensure!(!pids.is_empty(), "no haproxy on n{}", node + 1);
    for pid in &pids {
        let _ = kill(Pid::from_raw(*pid), SIGKILL);
    }
    // Until then it may still be given connections.
    let deadline = Instant::now() + HANG;
    while pids.iter().any(is_haproxy) {
        ensure!(Instant::now() < deadline, "haproxy of n{} outlives SIGKILL", node + 1);
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn expect_all(tally: &Tally, bed: &Bed) {
    let total = tally.total();
    assert_eq!(total.unsuccessful(), 0, "of {}: {}\n{}", total.calls(), tally.troubles(), bed.verdicts());
}

#[test]
fn calls_for_a_peer_without_a_listener_are_taken_by_another_or_refused() {
    let mut bed = bed().unwrap();
    // Nobody starts it again, and nobody says that it is gone.
    bed.federation.kill_agent(1).unwrap();
    kill_haproxy(&bed, 1).unwrap();
    let shared = load(&bed, "shared", 5).unwrap().finish().unwrap();
    expect_all(&shared, &bed);
    let n3 = &bed.federation.nodes[2].id;
    assert_eq!(shared.total().served_by(n3), shared.total().calls());
    assert!(bed.verdict(1, Verdict::TurnedAwayNoListener).unwrap() > 0, "{}", bed.verdicts());
    assert!(bed.verdict(0, Verdict::BouncedToPeer).unwrap() > 0, "{}", bed.verdicts());
    // Only the dead one runs it.
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = bed.call("far", "hello").unwrap();
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert!(begun.elapsed() < Duration::from_secs(20), "refused after {:?}", begun.elapsed());
    }
}

#[test]
fn a_peer_whose_haproxy_dies_again_and_again_costs_only_the_calls_it_holds() {
    let bed = bed().unwrap();
    let running = load(&bed, "shared", 9).unwrap();
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(2));
        kill_haproxy(&bed, 1).unwrap();
    }
    let tally = running.finish().unwrap();
    let total = tally.total();
    let hung = total.count(|outcome| *outcome == Outcome::Failed(Failure::TimedOut));
    assert_eq!(hung, 0, "{}", tally.troubles());
    // A call takes some 10 ms: one or two are under way, more on a machine with other work.
    assert!(
        total.unsuccessful() * 5 <= total.calls(),
        "{} of {}: {}",
        total.unsuccessful(),
        total.calls(),
        tally.troubles()
    );
    eprintln!("{} of {} calls failed with the HAProxy that held them", total.unsuccessful(), total.calls());
    bed.wait_to_be_served("shared", 1).unwrap();
}

#[test]
fn a_client_hears_of_the_death_of_the_haproxy_that_served_it() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    bed.deploy(0, "slow", "sleep 40", 0).unwrap();
    bed.deploy(1, "slow", "sleep 40", PLENTY).unwrap();
    bed.wait_to_be_given("slow", 1).unwrap();
    let forwarded = || bed.tables(0).map(|tables| tables.forwarded().count());
    thread::scope(|scope| {
        let calls: Vec<_> = (0..5).map(|_| scope.spawn(|| bed.call("slow", "x"))).collect();
        let deadline = Instant::now() + HANG;
        while forwarded().unwrap() < 5 {
            assert!(Instant::now() < deadline, "{}", bed.verdicts());
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        kill_haproxy(&bed, 1).unwrap();
        for call in calls {
            let result = call.join().unwrap();
            assert!(result.is_err(), "{result:?}");
        }
        // Otherwise it was the time-out of the call.
        assert!(begun.elapsed() < Duration::from_secs(20), "heard after {:?}", begun.elapsed());
    });
    bed.wait_without_flows().unwrap();
}

#[test]
fn calls_for_a_peer_without_the_function_are_taken_by_another() {
    let bed = bed().unwrap();
    let name = Name::new("shared").context("a short name").unwrap();
    let running = load(&bed, "shared", 6).unwrap();
    thread::sleep(Duration::from_secs(2));
    // Its kernel knows first; its agent has nothing new to say.
    bed.tables(1).unwrap().remove_route(&name).unwrap();
    let tally = running.finish().unwrap();
    expect_all(&tally, &bed);
    assert!(bed.verdict(1, Verdict::TurnedAwayFunction).unwrap() > 0, "{}", bed.verdicts());
    assert!(bed.verdict(0, Verdict::BouncedToPeer).unwrap() > 0, "{}", bed.verdicts());
}

/// A request in two pieces is steered by HAProxy, which asks the peer's.
#[test]
fn what_a_peer_grants_its_haproxy_does_not_refuse() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    for n in 0..6 {
        let function = format!("new{n}");
        bed.deploy(0, &function, "cat", 0).unwrap();
        bed.deploy(1, &function, "cat", PLENTY).unwrap();
        let line = format!("POST {} HTTP/1.1\r\n", Bed::path(&function));
        let rest = "Host: n1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        let pieces = [
            Piece::text(&line[..9]),
            Piece::Wait(Duration::from_millis(3)),
            Piece::text(&format!("{}{rest}", &line[9..])),
        ];
        let deadline = Instant::now() + HANG;
        let mut served = 0;
        while served < 30 {
            assert!(Instant::now() < deadline, "nobody serves {function}\n{}", bed.verdicts());
            let reply = bed.exchange(&pieces).unwrap();
            let asked = !reply.header("dfaas-forwarded-to").is_empty();
            assert!(!asked || reply.statuses() == [200], "call {served} of {function}: {:?}", reply.text());
            served += usize::from(asked);
        }
    }
}
