use std::net::TcpListener;

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};

use super::node::{Node, state, until, until_heard};
use crate::p2p::{Count, OverlayEvent};

async fn identified(node: &mut Node) {
    node.wait("identified", |event| matches!(event, OverlayEvent::Identified { .. }).then_some(())).await;
}

#[tokio::test]
async fn a_bootstrap_peer_that_restarts_on_its_address_is_found_again() {
    let first = Node::start(&[]).await;
    let mut second = Node::start(&[&first.address]).await;
    second.connected_to(&first.id()).await;
    let (keypair, listen, id) = (first.keypair.clone(), first.listen(), first.id());
    first.handle.shutdown().await;
    second.disconnected_from(&id).await;
    let mut first = Node::restart(keypair, listen, &[]).await;
    second.connected_to(&id).await;
    // Everything works again, in both directions.
    until_heard(&first, &mut [&mut second]).await;
    until_heard(&second, &mut [&mut first]).await;
    second.handle.send_state(&id, &state(1, 1)).unwrap();
    first.wait("a state", |event| matches!(event, OverlayEvent::State { .. }).then_some(())).await;
}

#[tokio::test]
async fn a_peer_that_dialled_us_is_found_again_where_it_listens() {
    let mut first = Node::start(&[]).await;
    let second = Node::start(&[&first.address]).await;
    identified(&mut first).await;
    let (keypair, listen, id) = (second.keypair.clone(), second.listen(), second.id());
    second.handle.shutdown().await;
    first.disconnected_from(&id).await;
    let mut second = Node::restart(keypair, listen, &[]).await;
    second.connected_to(&first.id()).await;
    first.connected_to(&id).await;
}

#[tokio::test]
async fn an_unreachable_bootstrap_peer_delays_nothing_and_is_found_when_it_comes_up() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let keypair = Keypair::generate_ed25519();
    let missing = listen.clone().with(Protocol::P2p(keypair.public().to_peer_id()));
    let first = Node::start(&[&missing]).await;
    let mut second = Node::start(&[&missing, &first.address]).await;
    second.connected_to(&first.id()).await;
    let counters = first.handle.counters();
    until("the peer is tried again", || counters.get(Count::DialFailed) >= 2).await;
    let late = Node::restart(keypair, listen, &[]).await;
    second.connected_to(&late.id()).await;
}

#[tokio::test]
async fn a_stranger_at_a_bootstrap_address_is_not_taken_for_the_peer() {
    let stranger = Node::start(&[]).await;
    let expected = Keypair::generate_ed25519().public().to_peer_id();
    let address = stranger.listen().with(Protocol::P2p(expected));
    let node = Node::start(&[&address]).await;
    let counters = node.handle.counters();
    until("the dial fails", || counters.get(Count::DialFailed) >= 1).await;
    assert!(node.handle.connected().is_empty());
}
