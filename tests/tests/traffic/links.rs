//! The link below: drivers that leave XDP no room for metadata, and link-layer addresses that change.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use dfaas_tests::{client::Call, network::Host};

use crate::bed::{Bed, HANG};

const CALLS: usize = 40;
/// More than a packet: what follows the first packet has hints of its own.
const BODY_BYTES: usize = 100 << 10;

/// Calls of all ways that end at a socket on a node: served here, by a peer, by HAProxy.
fn sockets_are_made(place: XdpPlace) -> Result<()> {
    let bed = Bed::with(2, |options| {
        options.xdp = Some(place);
        options.settings.insert("AGENT_HINT".to_owned(), "source".to_owned());
    })?;
    for (function, node) in [("near", 0), ("far", 1)] {
        let before = bed.verdict(node, Verdict::Placed)?;
        for size in [0, BODY_BYTES] {
            for n in 0..CALLS {
                let body = vec![b'a' + (n % 26) as u8; size];
                let answer = bed.call(function, body.clone())?;
                let right = answer.status == 200 && answer.body == body && bed.node_of(&answer) == Some(node);
                ensure!(right, "call {n} of {function}, {size} bytes: {}\n{}", answer.status, bed.verdicts());
            }
        }
        let placed = bed.verdict(node, Verdict::Placed)? - before;
        ensure!(placed >= 2 * CALLS as u64, "{placed} calls of {function} placed\n{}", bed.verdicts());
    }
    let before = bed.verdict(0, Verdict::Placed)?;
    let answer = Call::get(bed.federation.url(0, "/healthz")).timeout(HANG).send(&bed.client)?;
    ensure!(answer.status == 200 && bed.verdict(0, Verdict::Placed)? > before, "{}\n{}", answer.status, bed.verdicts());
    for node in [0, 1] {
        let untold = bed.verdict(node, Verdict::WithoutHint)? + bed.verdict(node, Verdict::FirstWithoutHint)?;
        let forged = bed.verdict(node, Verdict::HintForged)?;
        ensure!((untold, forged) == (0, 0), "{untold} packets without a hint, {forged} taken for forged ones");
    }
    bed.wait_without_flows()
}

#[test]
fn sockets_are_made_without_metadata_with_native_xdp() {
    sockets_are_made(XdpPlace::Native).unwrap();
}

#[test]
fn sockets_are_made_without_metadata_with_generic_xdp() {
    sockets_are_made(XdpPlace::Generic).unwrap();
}

/// A client whose neighbour table is old must not be answered, or it stays old; one that has asked anew is served by the
/// kernel as before.
#[test]
fn a_node_whose_link_layer_address_changes_answers_for_the_new_one_alone() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let (node, client) = (&bed.federation.host(0).namespace, &bed.federation.host(2).namespace);
    let address = bed.federation.nodes[0].address;
    let old = node.run(&format!("cat /sys/class/net/{}/address", Host::INTERFACE)).unwrap();
    let entry = |link: &str| format!("ip neigh replace {address} lladdr {link} dev {} nud permanent", Host::INTERFACE);
    node.run(&format!("ip link set {} address 02:00:00:00:77:01", Host::INTERFACE)).unwrap();
    client.run(&entry("02:00:00:00:77:01")).unwrap();
    let answered = || bed.verdict(0, Verdict::SynAnswered).unwrap();
    let (before, deadline) = (answered(), Instant::now() + HANG);
    while answered() == before {
        assert!(Instant::now() < deadline, "the programs do not follow\n{}", bed.verdicts());
        let answer = Call::post(bed.url("near"), "x").timeout(Duration::from_secs(5)).send(&bed.client);
        drop(answer);
        thread::sleep(Duration::from_millis(100));
    }
    bed.wait_for("near", Some(0)).unwrap();
    client.run(&entry(old.trim())).unwrap();
    let (before, others) = (answered(), bed.verdict(0, Verdict::OtherLink).unwrap());
    let answer = Call::post(bed.url("near"), "x").timeout(Duration::from_secs(2)).send(&bed.client);
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(answered(), before);
    assert!(bed.verdict(0, Verdict::OtherLink).unwrap() > others);
}
