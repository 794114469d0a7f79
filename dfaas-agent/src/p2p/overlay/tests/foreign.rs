//! Peers set up otherwise than ours: one way to encrypt, none of our protocols.

use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    kad::{self, store::MemoryStore},
    multiaddr::Protocol,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, tls, yamux,
};

use super::node::{Node, until};
use crate::p2p::{Count, dht};

#[derive(NetworkBehaviour)]
struct Foreign {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

/// A keeper of records who passes on no other addresses: it takes nobody into its routing table.
fn foreign(keypair: &Keypair) -> Foreign {
    let own = keypair.public().to_peer_id();
    let mut config = kad::Config::new(dht::PROTOCOL);
    config.set_kbucket_inserts(kad::BucketInserts::Manual);
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    kad.set_mode(Some(kad::Mode::Server));
    let identify = identify::Behaviour::new(identify::Config::new("foreign/1.0.0".into(), keypair.public()));
    Foreign { identify, kad }
}

macro_rules! foreign_swarm {
    ($keypair:expr, $security:expr) => {
        SwarmBuilder::with_existing_identity($keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), $security, yamux::Config::default)
            .unwrap()
            .with_behaviour(foreign)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_mins(10)))
            .build()
    };
}

/// Runs the peer until the end of the test; its address.
async fn run(mut swarm: Swarm<Foreign>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = futures::StreamExt::select_next_some(&mut swarm).await {
            break address.with(Protocol::P2p(*swarm.local_peer_id()));
        }
    };
    tokio::spawn(async move {
        loop {
            futures::StreamExt::select_next_some(&mut swarm).await;
        }
    });
    address
}

#[tokio::test]
async fn nodes_that_know_only_a_keeper_of_records_find_each_other_by_them() {
    let keeper = run(foreign_swarm!(Keypair::generate_ed25519(), noise::Config::new)).await;
    let mut first = Node::start(&[&keeper]).await;
    let counters = first.handle.counters();
    until("the first has left its record", || counters.get(Count::Advertised) > 0).await;
    let mut second = Node::start(&[&keeper]).await;
    second.connected_to(&first.id()).await;
    first.connected_to(&second.id()).await;
    let found = [&first, &second].map(|node| node.handle.counters().get(Count::ProviderFound));
    assert!(found.iter().sum::<u64>() > 0, "they did not find each other by a record");
}

/// The control: the keeper tells of nobody who has not left a record.
#[tokio::test]
async fn a_federation_of_another_rendezvous_is_not_found() {
    let keeper = run(foreign_swarm!(Keypair::generate_ed25519(), noise::Config::new)).await;
    let first = Node::start_with(&[&keeper], |settings| settings.rendezvous = "others".into()).await;
    let counters = first.handle.counters();
    until("the first has left its record", || counters.get(Count::Advertised) > 0).await;
    let second = Node::start(&[&keeper]).await;
    let counters = second.handle.counters();
    until("two searches are over", || counters.get(Count::SearchDone) > 1).await;
    assert_eq!((counters.get(Count::ProviderFound), second.handle.connected().len()), (0, 1));
}

#[tokio::test]
async fn a_search_nobody_can_answer_is_counted_and_ends_nothing() {
    let mut node = Node::start_with(&[], |settings| settings.search_pause = std::time::Duration::from_millis(50)).await;
    let counters = node.handle.counters();
    let searched = || counters.get(Count::SearchDone) + counters.get(Count::SearchFailed);
    until("searches end", || searched() > 3).await;
    assert_eq!(counters.get(Count::Advertised), 0);
    let mut late = Node::start(&[&node.address]).await;
    node.connected_to(&late.id()).await;
    late.connected_to(&node.id()).await;
    until("its record is left after all", || counters.get(Count::Advertised) > 0).await;
}

#[tokio::test]
async fn a_peer_may_speak_tls_or_noise_alone_and_dial_or_be_dialled() {
    let key = Keypair::generate_ed25519;
    for mut swarm in [foreign_swarm!(key(), tls::Config::new), foreign_swarm!(key(), noise::Config::new)] {
        let id = swarm.local_peer_id().to_base58().parse().unwrap();
        let mut node = Node::start(&[]).await;
        swarm.dial(node.address.clone()).unwrap();
        let address = run(swarm).await;
        node.connected_to(&id).await;
        Node::start(&[&address]).await.connected_to(&id).await;
    }
}

#[tokio::test]
async fn nodes_meet_over_ipv6() {
    let listen = || "/ip6/::1/tcp/0".parse().unwrap();
    let mut first = Node::restart(Keypair::generate_ed25519(), listen(), &[]).await;
    let mut second = Node::restart(Keypair::generate_ed25519(), listen(), &[&first.address]).await;
    first.connected_to(&second.id()).await;
    second.connected_to(&first.id()).await;
    assert_eq!(second.handle.connected()[&first.id()].remotes, [std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST)]);
}

#[tokio::test]
async fn one_node_listens_on_both_families_at_one_port() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let both = Node::start_with(&[], |settings| {
        settings.listen = ["/ip4/127.0.0.1", "/ip6/::1"].map(|ip| format!("{ip}/tcp/{port}").parse().unwrap()).to_vec();
    })
    .await;
    let id = both.keypair.public().to_peer_id();
    for ip in ["/ip4/127.0.0.1", "/ip6/::1", "/dns4/localhost", "/dns6/localhost"] {
        let address: Multiaddr = format!("{ip}/tcp/{port}/p2p/{id}").parse().unwrap();
        Node::start(&[&address]).await.connected_to(&both.id()).await;
    }
}
