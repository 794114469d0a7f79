//! A federation whose nodes know a secret.

use std::collections::BTreeSet;

use super::node::{Node, state, until, until_heard};
use crate::p2p::{Count, OverlayEvent, Secret, message::Message};

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

const SHARED: &str = "of this federation alone";

async fn state_from(node: &mut Node, sender: &Node) {
    let sender = sender.id();
    let is_it = |event| matches!(event, OverlayEvent::State { from, .. } if from == sender).then_some(());
    node.wait("a state", is_it).await;
}

#[tokio::test]
async fn nodes_that_know_the_secret_hear_each_other_and_others_are_not_heard() {
    let mut first = Node::start_with(&[], |settings| settings.secret = Some(secret(SHARED))).await;
    let mut second = Node::start_with(&[&first.address], |settings| settings.secret = Some(secret(SHARED))).await;
    let mut open = Node::start(&[&first.address]).await;
    let mut wrong =
        Node::start_with(&[&first.address], |settings| settings.secret = Some(secret("of another one, says it"))).await;
    for node in [&mut second, &mut open, &mut wrong] {
        node.connected_to(&first.id()).await;
    }
    let counters = first.handle.counters();
    for (sequence, node) in (1..).zip([&open, &wrong]) {
        node.handle.send_state(&first.id(), &state(1, 1)).unwrap();
        until("the state is refused", || counters.get(Count::StateUnproven) >= sequence).await;
    }
    assert_eq!(counters.get(Count::StateReceived), 0);
    second.handle.send_state(&first.id(), &state(1, 1)).unwrap();
    first.handle.send_state(&second.id(), &state(1, 1)).unwrap();
    state_from(&mut first, &second).await;
    state_from(&mut second, &first).await;
    assert!(first.handle.vouches_for(&second.id()) && !first.handle.vouches_for(&open.id()));
    until_heard(&second, &mut [&mut first]).await;
    // What strangers tell everybody is taken from nobody who passes it on.
    until("the strangers' broadcasts are refused", || {
        open.handle.publish(&Message::Text("to all".into())).unwrap();
        wrong.handle.publish(&Message::Text("to all".into())).unwrap();
        counters.get(Count::BroadcastStranger) >= 4
    })
    .await;
    assert!(first.texts().iter().all(|(from, _)| *from == second.id()));
    assert!(!first.handle.is_open() && open.handle.is_open());
}

#[tokio::test]
async fn a_listed_node_is_heard_though_it_knows_no_secret() {
    let original = Node::start(&[]).await;
    let listed = BTreeSet::from([original.id()]);
    let mut node = Node::start_with(&[&original.address], |settings| {
        settings.secret = Some(secret(SHARED));
        settings.members = Some(("unread".into(), listed));
    })
    .await;
    // The list keeps nobody out who knows the secret.
    let mut other = Node::start_with(&[&node.address], |settings| settings.secret = Some(secret(SHARED))).await;
    other.connected_to(&node.id()).await;
    until_heard(&original, &mut [&mut node]).await;
    other.handle.send_state(&node.id(), &state(1, 1)).unwrap();
    state_from(&mut node, &other).await;
    assert_eq!(node.handle.counters().get(Count::StateUnproven), 0);
}

/// A key that was copied with a disk.
#[tokio::test]
async fn two_holders_of_one_key_are_told_and_only_one_is_heard() {
    let mut node = Node::start(&[]).await;
    let mut first = Node::start(&[&node.address]).await;
    first.connected_to(&node.id()).await;
    first.handle.send_state(&node.id(), &state(1, 1)).unwrap();
    state_from(&mut node, &first).await;
    let mut copy =
        Node::restart(first.keypair.clone(), "/ip4/127.0.0.1/tcp/0".parse().unwrap(), &[&node.address]).await;
    copy.connected_to(&node.id()).await;
    copy.handle.send_state(&node.id(), &state(2, 1)).unwrap();
    state_from(&mut node, &copy).await;
    let is_doubled = |node: &Node| node.handle.connected()[&first.id()].is_doubled;
    assert!(!is_doubled(&node), "it may have been restarted");
    let (counters, mut sequence) = (node.handle.counters(), 1);
    until("the other holder is found", || {
        sequence += 1;
        first.handle.send_state(&node.id(), &state(1, sequence)).unwrap();
        copy.handle.send_state(&node.id(), &state(2, sequence)).unwrap();
        is_doubled(&node)
    })
    .await;
    assert!(counters.get(Count::StateAnotherRun) >= 1);
    let mut runs = BTreeSet::new();
    while let Ok(event) = node.events.try_recv() {
        if let OverlayEvent::State { state, .. } = event {
            runs.insert(state.started_ms);
        }
    }
    assert_eq!(runs, [2].into(), "the later one");
}
