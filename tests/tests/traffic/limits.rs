//! Limits that come and go.

use std::{
    thread,
    time::{Duration, Instant},
};

use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::http::Name;
use dfaas_tests::client::{Call, Connections, Load};

use nix::time::{ClockId, clock_gettime};

use crate::bed::{Bed, HANG};

/// Calls per second that n2 may serve.
const LIMIT: u32 = 100;
const RATE: f64 = 20.0;
/// A call in more than five minutes.
const TINY_INTERVAL_NS: u64 = 333_000_000_000;
const AHEAD_NS: u64 = 100_000_000_000;

/// What is left of n2's limit beside its own clients comes and goes, so its grants are tiny for moments. Here one is written
/// by hand; the agent puts it right within a second or two.
#[test]
fn a_peer_whose_grant_was_tiny_for_a_moment_is_used_again_at_once() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    bed.deploy(0, "shared", "cat", 0).unwrap();
    bed.deploy(1, "shared", "cat", LIMIT).unwrap();
    bed.wait_to_be_given("shared", 1).unwrap();
    let n2 = &bed.federation.nodes[1].id;
    let peers = bed.federation.status(0).unwrap().peers;
    let number = peers.into_iter().find(|peer| peer.node == *n2).and_then(|peer| peer.number).unwrap() as usize;
    let call = Call::post(bed.url("shared"), "hello").timeout(HANG);
    let load = Load { call, rate: RATE, duration: None, connections: Connections::PerCall }.start(&bed.client).unwrap();
    let name = Name::new("shared").unwrap();
    let mut tables = bed.tables(0).unwrap();
    let deadline = Instant::now() + HANG;
    loop {
        let (_, mut route) = tables.routes().into_iter().find(|(found, _)| *found == name).unwrap();
        route.out_interval_ns[number] = TINY_INTERVAL_NS;
        tables.set_route(&name, &route).unwrap();
        thread::sleep(Duration::from_millis(100));
        let ahead = tables.buckets(route.function).unwrap().out_tat_ns[number];
        if ahead > monotonic_ns() + AHEAD_NS {
            break;
        }
        assert!(Instant::now() < deadline, "no call was given by the tiny grant\n{}", bed.verdicts());
    }
    let begun = Instant::now();
    let served = || load.tally().total().served_by(n2);
    let before = served();
    // A bucket that stays shut does so for minutes.
    while served() < before + u64::from(LIMIT) {
        assert!(begun.elapsed() < HANG, "n2 serves {} of n1's calls\n{}", served() - before, bed.verdicts());
        thread::sleep(Duration::from_millis(20));
    }
    println!("{LIMIT} calls of n1, {RATE} a second, served {} ms after a tiny grant", begun.elapsed().as_millis());
    load.stop().unwrap();
}

fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
