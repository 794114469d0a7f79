//! Bad links between all nodes.

use std::{cell::RefCell, collections::BTreeSet, thread, time::Duration};

use dfaas_tests::{
    client::{Call, Connections, Failure, Load, Outcome},
    link::Impairment,
};

use crate::{Bed, SETTLE};

/// On the link of every node: from one node to another, 30 % are lost.
const LOST: f64 = 0.163;
/// For what takes several tries.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
fn calls_are_answered_and_peers_found_again_while_a_third_of_the_packets_is_lost() {
    let bed = Bed::new(|options| {
        options.rate_limits = vec![40];
        // All calls of `env` at n1 are forwarded.
        options.rate_limits_of.insert("env".to_owned(), vec![0, 40, 40]);
    });
    let names: Vec<String> = bed.nodes.iter().map(|node| node.name.clone()).collect();
    let impairment = Impairment { lost: LOST, ..Impairment::default() };
    let links: Vec<_> = names.iter().zip(1..).map(|(name, seed)| bed.impair(name, impairment, seed).unwrap()).collect();

    let load = |function: &str, rate| {
        let call = Call::get(bed.url(0, &format!("/function/{function}"))).timeout(PATIENCE);
        Load { call, rate, duration: None, connections: Connections::PerCall }.start(&bed.from()).unwrap()
    };
    let (local, forwarded) = (load("figlet", 4.0), load("env", 4.0));
    // Well beyond the time after which a silent peer is given up.
    thread::sleep(Duration::from_secs(10));
    // Not all at one time: a heartbeat needs some tries, and a peer is missed meanwhile.
    let seen_up = RefCell::new(BTreeSet::new());
    bed.wait_until(PATIENCE, |statuses| {
        let mut seen_up = seen_up.borrow_mut();
        for (name, status) in statuses {
            let up = status.peers.iter().filter(|peer| peer.state == "up");
            seen_up.extend(up.map(|peer| ((*name).to_owned(), peer.node.clone())));
        }
        (seen_up.len() < 6).then(|| format!("only {seen_up:?}"))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(10));
    let (local, forwarded) = (local.stop().unwrap(), forwarded.stop().unwrap());
    let lost: u64 = links.iter().map(|link| link.frames().1).sum();
    assert!(lost > 100, "only {lost} frames were lost");
    for link in &links {
        link.change(Impairment::default());
    }

    let total = local.total();
    assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, local.troubles());
    let total = forwarded.total();
    // While n1 misses both peers it says so.
    let answered = total.count(|outcome| matches!(outcome, Outcome::Answered { status: 200 | 429 | 503, .. }));
    let served = total.count(Outcome::is_success);
    println!("{} calls to be forwarded: {served} served, {answered} answered", total.calls());
    // Of six ways in a row, as a forwarded packet and its answer take, all are good only one time in three. A client that
    // gives up after half a minute without a word has tried eight times.
    assert!(answered * 10 >= total.calls() * 9, "{:?}\n{}", total.outcomes, forwarded.troubles());
    let given_up = total.count(|outcome| matches!(outcome, Outcome::Failed(Failure::TimedOut)));
    assert_eq!(answered + given_up, total.calls(), "{:?}\n{}", total.outcomes, forwarded.troubles());
    assert!(served * 2 > total.calls(), "{:?}\n{}", total.outcomes, forwarded.troubles());

    bed.wait_settled(SETTLE).unwrap();
    for _ in 0..10 {
        assert_ne!(bed.served(&Call::get(bed.url(0, "/function/env"))).1, "n1");
    }
    bed.stop();
}
