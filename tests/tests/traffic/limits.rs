//! Limits that come and go.

use std::{
    thread,
    time::{Duration, Instant},
};

use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_tests::client::{Call, Connections, Load};

use crate::bed::{Bed, HANG};

/// Calls per second that n2 may serve.
const LIMIT: u32 = 10;

/// What is left of the limit beside n2's own clients comes and goes, and may be as little as a call in minutes: its grants
/// to n1 are tiny for moments.
#[test]
fn a_peer_that_was_at_its_limit_is_used_again_as_soon_as_it_is_idle() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    bed.deploy(0, "shared", "cat", 1).unwrap();
    bed.deploy(1, "shared", "cat", LIMIT).unwrap();
    bed.wait_to_be_given("shared", 1).unwrap();
    let load = |node: usize, rate: f64| {
        let call = Call::post(bed.federation.url(node, &Bed::path("shared")), "hello").timeout(HANG);
        Load { call, rate, duration: None, connections: Connections::PerCall }.start(&bed.client).unwrap()
    };
    let excess = load(0, 20.0);
    let own = load(1, f64::from(LIMIT));
    thread::sleep(Duration::from_secs(10));
    own.stop().unwrap();
    let idle = Instant::now();
    let n2 = &bed.federation.nodes[1].id;
    let served = || excess.tally().total().served_by(n2);
    let before = served();
    // A bucket that stays shut does so for minutes.
    while served() < before + u64::from(LIMIT) {
        assert!(idle.elapsed() < Duration::from_secs(20), "n2 serves {} of n1's calls\n{}", served(), bed.verdicts());
        thread::sleep(Duration::from_millis(20));
    }
    println!("{LIMIT} calls of n1 served {} ms after n2 became idle", idle.elapsed().as_millis());
    excess.stop().unwrap();
}
