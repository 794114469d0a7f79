use super::node::{Node, until};
use crate::p2p::{Count, OverlaySettings};

/// Found by multicast only, and by nobody outside this test.
fn alone(settings: &mut OverlaySettings, rendezvous: &str) {
    settings.dht = false;
    settings.mdns = true;
    settings.rendezvous = format!("{rendezvous}-{}", std::process::id());
}

#[tokio::test]
async fn nodes_on_one_network_find_each_other_without_any_bootstrap_node() {
    let mut first = Node::start_with(&[], |settings| alone(settings, "first")).await;
    let other = Node::start_with(&[], |settings| alone(settings, "other")).await;
    let mut second = Node::start_with(&[], |settings| alone(settings, "first")).await;
    first.connected_to(&second.id()).await;
    second.connected_to(&first.id()).await;
    let seen = [&first, &second].map(|node| node.handle.counters().get(Count::NodeSeen));
    assert!(seen.iter().sum::<u64>() > 0);
    assert!(other.handle.connected().is_empty(), "another rendezvous is another federation");
}

#[tokio::test]
async fn a_node_that_comes_back_elsewhere_is_found_again() {
    let mut first = Node::start_with(&[], |settings| alone(settings, "again")).await;
    let second = Node::start_with(&[], |settings| alone(settings, "again")).await;
    first.connected_to(&second.id()).await;
    let keypair = second.keypair.clone();
    second.handle.shutdown().await;
    first.disconnected_from(&second.id()).await;
    let again = Node::start_with(&[], |settings| {
        alone(settings, "again");
        settings.keypair = keypair;
    })
    .await;
    first.connected_to(&again.id()).await;
    until("it is shown", || first.handle.connected().contains_key(&again.id())).await;
}
