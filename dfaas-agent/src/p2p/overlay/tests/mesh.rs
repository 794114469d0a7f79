use std::collections::BTreeMap;

use libp2p::Multiaddr;

use super::node::{Node, state, until, until_heard};
use crate::p2p::{Count, OverlayError, OverlayEvent, OverlaySettings, direct, message::Message, start};

#[tokio::test]
async fn nodes_that_know_one_bootstrap_peer_form_a_mesh() {
    let first = Node::start(&[]).await;
    let mut nodes = vec![];
    for _ in 0..3 {
        nodes.push(Node::start(&[&first.address]).await);
    }
    nodes.push(first);
    let mut sequence = 0;
    until("every node is connected to every other", || {
        sequence += 1;
        for node in &mut nodes {
            node.texts();
            for peer in node.handle.connected().keys() {
                // The peer may be gone since.
                let _ = node.handle.send_state(peer, &state(1, sequence));
            }
        }
        nodes.iter().all(|node| node.handle.connected().len() == 3)
    })
    .await;
    for node in &nodes {
        let connected = node.handle.connected();
        assert!(!connected.contains_key(&node.id()));
        assert!(connected.values().all(|peer| peer.remotes == ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]));
    }
}

async fn unfound(bootstrap: &[&Multiaddr]) -> Node {
    Node::start_with(bootstrap, |settings| settings.dht = false).await
}

#[tokio::test]
async fn a_broadcast_arrives_once_with_its_author_also_over_others() {
    // Without the table of records, by which they would all find each other.
    let mut middle = unfound(&[]).await;
    let mut left = unfound(&[&middle.address]).await;
    let mut right = unfound(&[&middle.address]).await;
    // A cycle of three, and one more node that hears all through the middle only.
    let mut corner = unfound(&[&middle.address, &left.address]).await;
    until_heard(&left, &mut [&mut middle, &mut right, &mut corner]).await;
    until_heard(&right, &mut [&mut middle, &mut left, &mut corner]).await;

    for i in 0..10 {
        left.handle.publish(&Message::Text(format!("left {i}"))).unwrap();
        right.handle.publish(&Message::Text(format!("right {i}"))).unwrap();
    }
    let mut heard: [BTreeMap<_, usize>; 3] = Default::default();
    let (left_id, right_id) = (left.id(), right.id());
    let expected = |index| if index == 1 { 10 } else { 20 };
    until("all broadcasts are heard", || {
        for (heard, node) in heard.iter_mut().zip([&mut middle, &mut right, &mut corner]) {
            for (from, text) in node.texts().into_iter().filter(|(_, text)| text != "probe") {
                assert_eq!(from, if text.starts_with("left") { left_id.clone() } else { right_id.clone() });
                *heard.entry(text).or_default() += 1;
            }
        }
        heard.iter().enumerate().all(|(index, heard)| heard.len() >= expected(index))
    })
    .await;
    until_heard(&left, &mut [&mut right]).await;
    for (index, heard) in heard.iter().enumerate() {
        assert_eq!(heard.len(), expected(index));
        assert!(heard.values().all(|times| *times == 1), "{heard:?}");
    }
    assert!(left.handle.counters().get(Count::BroadcastSent) >= 10);
    assert!(!right.handle.connected().contains_key(&left_id), "the middle had to pass the messages on");
}

#[tokio::test]
async fn peers_say_what_they_are() {
    let mut first = Node::start(&[]).await;
    let second = Node::start(&[&first.address]).await;
    let (peer, agent, protocols) = first
        .wait("identified", |event| match event {
            OverlayEvent::Identified { peer, agent, protocols } => Some((peer, agent, protocols)),
            _ => None,
        })
        .await;
    assert_eq!(peer, second.id());
    assert!(agent.starts_with("dfaas-agent/"), "{agent}");
    for protocol in [
        direct::PROTOCOL,
        "/ipfs/id/1.0.0",
        "/ipfs/id/push/1.0.0",
        "/ipfs/ping/1.0.0",
        "/ipfs/kad/1.0.0",
        "/meshsub/1.2.0",
        "/meshsub/1.1.0",
        "/meshsub/1.0.0",
        "/floodsub/1.0.0",
    ] {
        assert!(protocols.iter().any(|listed| listed == protocol), "{protocol} not in {protocols:?}");
    }
    let shown = &first.handle.connected()[&peer];
    assert_eq!((shown.agent.as_deref(), shown.direct), (Some(agent.as_str()), true));
}

#[tokio::test]
async fn wrong_settings_and_a_stopped_overlay_are_errors_not_panics() {
    let node = Node::start(&[]).await;
    let mut settings = OverlaySettings::new(node.keypair.clone());
    settings.bootstrap = vec![node.listen()];
    let error = start(settings).unwrap_err().to_string();
    assert!(error.contains(&node.listen().to_string()) && error.contains("/p2p/<id>"), "{error}");
    let mut settings = OverlaySettings::new(node.keypair.clone());
    settings.listen = vec![node.listen()];
    assert!(start(settings).unwrap_err().to_string().contains("cannot listen on"));

    let stranger = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf".parse().unwrap();
    let sent = node.handle.send_state(&stranger, &state(1, 1));
    assert_eq!(sent, Err(OverlayError::NotConnected(stranger)));
    node.handle.publish(&Message::Text("to nobody".into())).unwrap();
    node.handle.shutdown().await;
    assert_eq!(node.handle.publish(&Message::Text("late".into())), Err(OverlayError::Stopped));
    assert_eq!(node.handle.counters().get(Count::BroadcastAlone), 1);
    node.handle.shutdown().await;
}

#[tokio::test]
async fn an_overlay_whose_agent_is_gone_ends() {
    let Node { handle, events, .. } = Node::start(&[]).await;
    drop(events);
    until("the overlay ends", || handle.publish(&Message::Text(String::new())) == Err(OverlayError::Stopped)).await;
}
