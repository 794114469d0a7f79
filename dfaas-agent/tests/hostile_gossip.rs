//! Very many hostile broadcasts, signed as they must be, that reach a node through a neighbour who passes on
//! anything, as the original's agents do. In a program of its own, so that its memory is its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::time::Duration;

use dfaas_agent::p2p::{Count, DEFAULT_TOPIC, OverlayEvent, OverlayHandle, OverlaySettings, message::Message, start};
use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder,
    gossipsub::{self, IdentTopic, MessageAuthenticity, PublishError, ValidationMode},
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::mpsc;

const MESSAGES: u64 = 10_000;
/// The first of them fill caches and pools, which then stay as they are.
const WARM_UP: u64 = 2_000;
const MOST_GROWTH_BYTES: u64 = 24 << 20;

/// A peer that has no rules.
fn careless() -> Swarm<gossipsub::Behaviour> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .max_transmit_size(1 << 20)
        .heartbeat_interval(Duration::from_millis(200))
        .publish_queue_duration(Duration::from_mins(1))
        .forward_queue_duration(Duration::from_mins(1))
        .message_id_fn(|message| {
            let mut id = message.source.map(libp2p::PeerId::to_bytes).unwrap_or_default();
            id.extend(message.sequence_number.unwrap_or_default().to_be_bytes());
            id.into()
        })
        .build()
        .unwrap();
    let behaviour = |keypair: &Keypair| {
        let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Signed(keypair.clone()), config).unwrap();
        gossip.subscribe(&IdentTopic::new(DEFAULT_TOPIC)).unwrap();
        gossip
    };
    SwarmBuilder::with_existing_identity(Keypair::generate_ed25519())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(behaviour)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_hours(1)))
        .build()
}

async fn listen(swarm: &mut Swarm<gossipsub::Behaviour>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address.with(Protocol::P2p(*swarm.local_peer_id()));
        }
    }
}

fn node(bootstrap: &[Multiaddr]) -> (OverlayHandle, mpsc::Receiver<OverlayEvent>) {
    let mut settings = OverlaySettings::new(Keypair::generate_ed25519());
    settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    settings.bootstrap = bootstrap.to_vec();
    // Else most were not even looked at.
    settings.message_rate = 1e6;
    start(settings).unwrap()
}

fn hostile_text(random: &mut StdRng) -> Vec<u8> {
    let good = br#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"10.0.2.38","HAProxyPort":30080,"FuncLimits":{"12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf":{"figlet":35}}}"#;
    let mut bytes = |most: usize| -> Vec<u8> { (0..random.random_range(0..most)).map(|_| random.random()).collect() };
    match bytes(256).first().copied().unwrap_or_default() % 6 {
        0 => bytes(2000),
        1 => b"[".repeat(bytes(2000).len()),
        2 => br#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"x\nbind *:1","HAProxyPort":1}"#.to_vec(),
        3 => br#"{"MsgType":"nodemargininfoNMS","Margin":1e999,"Load":null}"#.to_vec(),
        4 => [br#"{"MsgType":"text","Text":""#.to_vec(), bytes(500), br#""}"#.to_vec()].concat(),
        _ => {
            let mut text = good.to_vec();
            for change in bytes(18).chunks_exact(3) {
                let at = usize::from(change[0]) % text.len();
                text[at] = change[1];
            }
            text
        }
    }
}

/// Bytes of memory this program holds.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn judged(node: &OverlayHandle) -> u64 {
    node.messages().iter().map(|series| series.count).sum()
}

/// Publishes until so many are judged, not many more than that at a time.
async fn publish(attacker: &mut Swarm<gossipsub::Behaviour>, random: &mut StdRng, victim: &OverlayHandle, wanted: u64) {
    let mut sent = judged(victim);
    let all = async {
        while judged(victim) < wanted {
            if sent < judged(victim) + 200 {
                match attacker.behaviour_mut().publish(IdentTopic::new(DEFAULT_TOPIC), hostile_text(random)) {
                    Ok(_) => sent += 1,
                    Err(PublishError::NoPeersSubscribedToTopic) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            let _ = tokio::time::timeout(Duration::from_micros(200), attacker.select_next_some()).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(9), all).await.expect("not all messages arrived");
}

#[tokio::test]
async fn ten_thousand_hostile_broadcasts_change_nothing_but_counters() {
    let mut relay = careless();
    let address = listen(&mut relay).await;
    tokio::spawn(async move {
        loop {
            relay.select_next_some().await;
        }
    });
    let (victim, mut events) = node(std::slice::from_ref(&address));
    let reader = tokio::spawn(async move {
        let mut connections = 0_i32;
        while let Some(event) = events.recv().await {
            match event {
                OverlayEvent::Connected { .. } => connections += 1,
                OverlayEvent::Disconnected { .. } => connections -= 1,
                OverlayEvent::State { .. } | OverlayEvent::StateRefused { .. } => panic!("not sent: {event:?}"),
                OverlayEvent::Broadcast { message: Message::Recalc(info), .. } => {
                    assert!(info.limits.values().flat_map(|limits| limits.values()).all(|limit| limit.is_finite()));
                }
                _ => {}
            }
        }
        connections
    });
    let mut attacker = careless();
    attacker.dial(address).unwrap();
    let mut random = StdRng::seed_from_u64(7);
    publish(&mut attacker, &mut random, &victim, WARM_UP).await;
    let before = resident();
    publish(&mut attacker, &mut random, &victim, MESSAGES).await;
    let growth = resident().saturating_sub(before);
    assert!(growth < MOST_GROWTH_BYTES, "memory grew by {growth} bytes");

    let counters = victim.counters();
    let bad = [Count::BadMalformed, Count::BadHost, Count::BadPort, Count::BadNumber, Count::BadTooMany];
    let counts = bad.map(|count| counters.get(count));
    assert!(counts.iter().sum::<u64>() > MESSAGES / 2, "{counts:?}");
    let messages = victim.messages();
    assert!(messages.len() < 20, "{messages:?}");
    assert_eq!(victim.connected().len(), 1, "the neighbour who passed them on is still one");

    // The node goes on as ever: another one is heard and hears.
    let (other, mut heard) =
        node(&[victim.listen_addresses()[0].clone().with(Protocol::P2p(victim.node_id().as_str().parse().unwrap()))]);
    let hears = async {
        loop {
            let _ = victim.publish(&Message::Text("still here".into()));
            let event = tokio::time::timeout(Duration::from_millis(100), heard.recv()).await;
            if let Ok(Some(OverlayEvent::Broadcast { message: Message::Text(text), .. })) = event
                && text == "still here"
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), hears).await.unwrap();
    let passed_on = other.counters();
    assert_eq!(bad.map(|count| passed_on.get(count)), [0; 5], "a bad message was passed on");
    victim.shutdown().await;
    assert!(reader.await.unwrap() >= 0);
}
