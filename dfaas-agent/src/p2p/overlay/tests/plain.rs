//! Peers with the library's gossip and nothing else.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Swarm, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode},
    identity::Keypair,
    noise, tcp, yamux,
};

use super::node::{Node, until_heard};
use crate::{
    name::NodeId,
    p2p::{Count, DEFAULT_TOPIC},
};

/// A peer that signs in this way, and takes frames of so many bytes.
pub(super) fn plain(key: &Keypair, sign: MessageAuthenticity, frame: usize) -> Swarm<gossipsub::Behaviour> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Permissive)
        .max_transmit_size(frame)
        .build()
        .unwrap();
    let mut gossip = gossipsub::Behaviour::new(sign, config).unwrap();
    gossip.subscribe(&IdentTopic::new(DEFAULT_TOPIC)).unwrap();
    SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| gossip)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_mins(10)))
        .build()
}

/// Broadcasts a text again and again until it is so.
pub(super) async fn say_until(swarm: &mut Swarm<gossipsub::Behaviour>, mut is_so: impl FnMut() -> bool) {
    let again = async {
        while !is_so() {
            let text = br#"{"MsgType":"text","Text":"x"}"#;
            // Fails while nobody listens.
            let _ = swarm.behaviour_mut().publish(IdentTopic::new(DEFAULT_TOPIC), text);
            let events = async {
                loop {
                    swarm.select_next_some().await;
                }
            };
            let _: Result<(), _> = tokio::time::timeout(Duration::from_millis(20), events).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), again).await.expect("never so");
}

/// What others take and pass on, such as messages by keys of kinds that we do not know, is no fault of theirs.
#[tokio::test]
async fn a_neighbour_is_not_charged_for_messages_that_we_alone_cannot_verify() {
    let mut node = Node::start(&[]).await;
    let key = Keypair::generate_ed25519();
    let id: NodeId = key.public().to_peer_id().to_base58().parse().unwrap();
    let counters = node.handle.counters();
    let mut relay = plain(&key, MessageAuthenticity::RandomAuthor, 65_536);
    relay.dial(node.address.clone()).unwrap();
    say_until(&mut relay, || counters.get(Count::BroadcastUnverified) >= 30).await;
    drop(relay);
    node.disconnected_from(&id).await;

    let mut itself = plain(&key, MessageAuthenticity::Signed(key.clone()), 65_536);
    itself.dial(node.address.clone()).unwrap();
    say_until(&mut itself, || node.texts().iter().any(|(from, _)| *from == id)).await;
    let other = Node::start(&[&node.address]).await;
    until_heard(&other, &mut [&mut node]).await;
}
