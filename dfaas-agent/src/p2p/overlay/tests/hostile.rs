//! Peers with a valid key and bad intentions.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{
    Swarm,
    gossipsub::{IdentTopic, PublishError},
    identity::Keypair,
    request_response,
    swarm::SwarmEvent,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::node::{Node, state, until, until_heard};
use crate::name::NodeId;
use crate::p2p::{
    Count, DEFAULT_TOPIC, MessageCount, OverlayEvent,
    dht::Dht,
    direct::{Ack, StateError},
    swarm::{self, Behaviour, BehaviourEvent, Rules},
};

/// A libp2p node without the overlay's rules, connected to `victim`.
async fn raw(victim: &mut Node) -> Swarm<Behaviour> {
    let topic = IdentTopic::new(DEFAULT_TOPIC);
    let keypair = Keypair::generate_ed25519();
    let dht = Dht::new(keypair.public().to_peer_id(), None, true);
    let rules = Rules { max_connections: 10, members_only: false };
    let mut swarm = swarm::build(&keypair, &topic, "raw", dht, &rules, &Arc::default(), std::iter::empty()).unwrap();
    swarm.dial(victim.address.clone()).unwrap();
    let id = swarm.local_peer_id().to_base58().parse().unwrap();
    tokio::select! {
        () = victim.connected_to(&id) => {}
        () = run(&mut swarm) => {}
    }
    swarm
}

async fn run(swarm: &mut Swarm<Behaviour>) {
    loop {
        swarm.select_next_some().await;
    }
}

fn hostile_text(random: &mut StdRng) -> Vec<u8> {
    let good = br#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"10.0.2.38","HAProxyPort":30080,"FuncLimits":{"12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf":{"figlet":35}}}"#;
    match random.random_range(0..4) {
        0 => (0..random.random_range(0..2000)).map(|_| random.random()).collect(),
        1 => b"[".repeat(random.random_range(1..20_000)),
        2 => br#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"x\nbind *:1","HAProxyPort":1}"#.to_vec(),
        _ => {
            let mut text = good.to_vec();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..text.len());
                text[at] = random.random();
            }
            text
        }
    }
}

/// Publishes as fast as the library takes it, until it is so.
async fn publish_until(swarm: &mut Swarm<Behaviour>, mut text: impl FnMut() -> Vec<u8>, is_so: impl Fn(usize) -> bool) {
    let mut sent = 0;
    let all = async {
        while !is_so(sent) {
            match swarm.behaviour_mut().gossip.publish(IdentTopic::new(DEFAULT_TOPIC), text()) {
                Ok(_) => sent += 1,
                Err(PublishError::NoPeersSubscribedToTopic) => {}
                Err(error) => panic!("{error}"),
            }
            let _ = tokio::time::timeout(Duration::from_millis(2), run(swarm)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), all).await.unwrap();
}

/// The defect that ended the original's agents (docs/compatibility.md, B4); in `tests/hostile_gossip.rs` there are
/// very many more such messages, from an author further away.
#[tokio::test]
async fn hostile_broadcasts_change_nothing_and_their_author_is_soon_not_heard() {
    let mut victim = Node::start(&[]).await;
    let mut other = Node::start(&[&victim.address]).await;
    until_heard(&other, &mut [&mut victim]).await;
    until_heard(&victim, &mut [&mut other]).await;
    let mut attacker = raw(&mut victim).await;
    let attacker_id: NodeId = attacker.local_peer_id().to_base58().parse().unwrap();
    let bad = |node: &Node| -> u64 {
        let of_attacker = |series: &MessageCount| series.peer.as_ref() == Some(&attacker_id) && series.outcome != "ok";
        node.handle.messages().into_iter().filter(of_attacker).map(|series| series.count).sum()
    };

    let mut random = StdRng::seed_from_u64(11);
    publish_until(&mut attacker, || hostile_text(&mut random), |sent| sent >= 300 && bad(&victim) > 0).await;
    let from = victim.wait("a bad message is told", |event| match event {
        OverlayEvent::BadMessage { from, .. } => Some(from),
        _ => None,
    });
    assert_eq!(from.await, attacker_id);
    assert!(bad(&victim) < 100, "{} of 300 messages were looked at", bad(&victim));

    until_heard(&other, &mut [&mut victim]).await;
    until_heard(&victim, &mut [&mut other]).await;
    assert!(victim.handle.connected().contains_key(&other.id()));
    assert_eq!(bad(&other), 0, "a bad message was passed on");
}

#[tokio::test]
async fn an_author_who_speaks_too_often_is_not_listened_to_but_its_neighbours_are() {
    let mut victim = Node::start_with(&[], |settings| settings.message_rate = 1.0).await;
    let mut attacker = raw(&mut victim).await;
    let counters = victim.handle.counters();
    let text = || br#"{"MsgType":"text","Text":"again"}"#.to_vec();
    publish_until(&mut attacker, text, |_| counters.get(Count::BroadcastAuthorFlood) >= 100).await;
    let heard = counters.get(Count::BroadcastReceived);
    assert!(heard >= 10, "{heard}");
    let mut other = Node::start(&[&victim.address]).await;
    until_heard(&other, &mut [&mut victim]).await;
    until_heard(&victim, &mut [&mut other]).await;
}

/// Sends a frame on the direct protocol and returns the answer, if there is one.
async fn ask(swarm: &mut Swarm<Behaviour>, victim: &Node, frame: &[u8]) -> Option<Ack> {
    let peer = victim.keypair.public().to_peer_id();
    swarm.behaviour_mut().direct.send_request(&peer, frame.to_vec());
    let answer = async {
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Direct(event)) = swarm.select_next_some().await {
                match event {
                    request_response::Event::Message {
                        message: request_response::Message::Response { response, .. },
                        ..
                    } => return Ack::decode(&response),
                    request_response::Event::OutboundFailure { .. } => return None,
                    _ => {}
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), answer).await.unwrap()
}

#[tokio::test]
async fn bad_states_are_refused_with_a_reason_and_change_nothing() {
    let mut victim = Node::start(&[]).await;
    let mut attacker = raw(&mut victim).await;
    for frame in [&b""[..], b"{", b"\xff\xfe", &b"[".repeat(100_000), br#"{"version":2,"sequence":1}"#] {
        let ack = ask(&mut attacker, &victim, frame).await.unwrap();
        assert!(ack.refused.is_some(), "{ack:?}");
        let pick = |event| match event {
            OverlayEvent::StateRefused { reason, .. } => Some(reason),
            OverlayEvent::State { .. } => panic!("a bad state was told"),
            _ => None,
        };
        assert!(matches!(victim.wait("refusal", pick).await, StateError::Malformed(_) | StateError::Version(2)));
    }
    assert_eq!(victim.handle.counters().get(Count::StateRefused), 5);
    let ack = ask(&mut attacker, &victim, &state(1, 7).encode().unwrap()).await.unwrap();
    assert_eq!((ack.sequence, ack.refused), (7, None));
}

#[tokio::test]
async fn a_flood_of_states_gets_no_answer_beyond_the_rate() {
    let mut victim = Node::start(&[]).await;
    let mut attacker = raw(&mut victim).await;
    let counters = victim.handle.counters();
    let mut sequence = 0;
    while counters.get(Count::StateFlood) == 0 {
        sequence += 1;
        let answered = ask(&mut attacker, &victim, &state(1, sequence).encode().unwrap()).await.is_some();
        victim.texts();
        assert_eq!(answered, counters.get(Count::StateFlood) == 0);
        assert!(sequence < 5000, "no state was held back");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_read_hears_of_connections_later_and_stalls_nobody() {
    let mut deaf = Node::start(&[]).await;
    let mut other = Node::start(&[&deaf.address]).await;
    other.connected_to(&deaf.id()).await;
    let counters = deaf.handle.counters();
    until("events are dropped", || {
        for _ in 0..100 {
            let _ = other.handle.publish(&crate::p2p::message::Message::Text("x".into()));
        }
        counters.get(Count::BroadcastDropped) > 100
    })
    .await;
    other.handle.shutdown().await;
    until("the overlay goes on", || deaf.handle.connected().is_empty()).await;
    deaf.connected_to(&other.id()).await;
    deaf.disconnected_from(&other.id()).await;
}
