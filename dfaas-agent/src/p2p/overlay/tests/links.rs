//! Gossip that goes on where a connection stays and its streams do not.

use futures::StreamExt;
use libp2p::{
    StreamProtocol, SwarmBuilder,
    gossipsub::{self, MessageAuthenticity},
    identify,
    identity::Keypair,
    noise, request_response,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::sync::mpsc;

use super::{
    node::{Node, until, until_heard},
    plain::{plain, say_until},
};
use crate::p2p::{Count, direct::FrameCodec, message::Message};

/// More than a mesh has, so that some are told what there is instead of being sent it.
const LEAVES: usize = 16;

/// A node, and others that know only that one.
async fn star() -> (Node, Vec<Node>) {
    let mut hub = Node::start_with(&[], |settings| settings.dht = false).await;
    let mut leaves = vec![];
    for _ in 0..LEAVES {
        let leaf = Node::start_with(&[&hub.address], |settings| settings.dht = false).await;
        hub.connected_to(&leaf.id()).await;
        leaves.push(leaf);
    }
    (hub, leaves)
}

/// So many within three seconds that their names alone are more than a node takes in one frame.
#[tokio::test(flavor = "multi_thread")]
async fn many_messages_at_once_break_no_link_and_everybody_is_heard_afterwards() {
    let (mut hub, mut leaves) = star().await;
    until_heard(&leaves[0], &mut [&mut hub]).await;
    for _ in 0..450 {
        hub.handle.publish(&Message::Text("x".into())).unwrap();
    }
    let mut quiet = 0;
    until("all is said", || {
        let heard: usize = leaves.iter_mut().map(|node| node.texts().len()).sum();
        quiet = if heard == 0 { quiet + 1 } else { 0 };
        quiet == 80
    })
    .await;

    until_heard(&hub, &mut leaves.iter_mut().collect::<Vec<_>>()).await;
    let (speaker, others) = leaves.split_first_mut().unwrap();
    until_heard(speaker, &mut others.iter_mut().chain([&mut hub]).collect::<Vec<_>>()).await;
    for node in leaves.iter().chain([&hub]) {
        let counters = node.handle.counters();
        let broken = [Count::StreamEnded, Count::StreamStalled, Count::GossipOff].map(|count| counters.get(count));
        assert_eq!(broken, [0; 3], "streams ended by their reader, stalled, and connections given up");
    }
    assert_eq!(hub.handle.connected().len(), LEAVES);
}

/// A peer that takes frames of 20 kB at most; what it is told, in order.
fn narrow(node: &Node) -> mpsc::Receiver<Vec<u8>> {
    let key = Keypair::generate_ed25519();
    let mut swarm = plain(&key, MessageAuthenticity::Signed(key.clone()), 20_000);
    let (told, receiver) = mpsc::channel(10_000);
    let address = node.address.clone();
    swarm.dial(address.clone()).unwrap();
    tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) => {
                    let _ = told.try_send(message.data);
                }
                SwarmEvent::ConnectionClosed { .. } => swarm.dial(address.clone()).unwrap(),
                _ => {}
            }
        }
    });
    receiver
}

/// Says something new until it is heard.
async fn until_told(node: &Node, told: &mut mpsc::Receiver<Vec<u8>>) {
    until("the peer is told something", || {
        node.handle.publish(&Message::Text("short".into())).unwrap();
        told.try_recv().is_ok()
    })
    .await;
    while told.try_recv().is_ok() {}
}

#[tokio::test]
async fn a_peer_that_could_not_read_one_message_hears_those_after_it() {
    let node = Node::start(&[]).await;
    let counters = node.handle.counters();
    let mut told = narrow(&node);
    until_told(&node, &mut told).await;
    // More often than the library makes a stream anew, hence also over a connection made anew.
    for round in 1..=6 {
        node.handle.publish(&Message::Text("long".repeat(10_000))).unwrap();
        until("the peer has stopped listening", || {
            node.handle.publish(&Message::Text("short".into())).unwrap();
            counters.get(Count::StreamEnded) >= round
        })
        .await;
        while told.try_recv().is_ok() {}
        until_told(&node, &mut told).await;
    }
    assert!(counters.get(Count::GossipOff) >= 1, "the connection was never made anew");
}

/// Neighbours that do not read, and messages so long that few of them are much memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_slow_readers_is_bounded_and_the_others_are_heard() {
    let mut hub = Node::start(&[]).await;
    let mut listener = Node::start(&[&hub.address]).await;
    let speaker = Node::start(&[&hub.address]).await;
    let mut deaf = vec![];
    for _ in 0..3 {
        let key = Keypair::generate_ed25519();
        let mut swarm = plain(&key, MessageAuthenticity::Signed(key.clone()), 2 << 20);
        swarm.dial(hub.address.clone()).unwrap();
        let id = key.public().to_peer_id().to_base58().parse().unwrap();
        say_until(&mut swarm, || hub.texts().iter().any(|(from, _)| *from == id)).await;
        deaf.push((id, swarm));
    }
    until_heard(&speaker, &mut [&mut hub, &mut listener]).await;
    let counters = hub.handle.counters();
    let long = "long".repeat(230_000);
    until("one is given up", || {
        speaker.handle.publish(&Message::Text(long.clone())).unwrap();
        hub.texts();
        listener.texts();
        counters.get(Count::TooSlow) > 0
    })
    .await;
    until("its connection is gone", || {
        let connected = hub.handle.connected();
        deaf.iter().any(|(id, _)| !connected.contains_key(id))
    })
    .await;
    until_heard(&speaker, &mut [&mut hub, &mut listener]).await;
    let connected = hub.handle.connected();
    assert!(connected.contains_key(&speaker.id()) && connected.contains_key(&listener.id()));
}

/// Names a gossip protocol and speaks none that we know: as an original agent does that is still starting.
#[derive(NetworkBehaviour)]
struct NotYet {
    identify: identify::Behaviour,
    gossip: request_response::Behaviour<FrameCodec>,
}

#[tokio::test]
async fn a_connection_without_gossip_is_made_anew_if_the_peer_speaks_it() {
    let mut node = Node::start(&[]).await;
    let not_yet = |key: &Keypair| NotYet {
        identify: identify::Behaviour::new(identify::Config::new("not-yet/1.0.0".into(), key.public())),
        gossip: request_response::Behaviour::new(
            [(StreamProtocol::new("/meshsub/0.0.0"), request_response::ProtocolSupport::Full)],
            request_response::Config::default(),
        ),
    };
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(not_yet)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_mins(10)))
        .build();
    let id = swarm.local_peer_id().to_base58().parse().unwrap();
    swarm.dial(node.address.clone()).unwrap();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    node.connected_to(&id).await;
    node.disconnected_from(&id).await;
    assert_eq!(node.handle.counters().get(Count::GossipOff), 1);
}
