//! What becomes of calls while the gateway of this node is dead.

use std::{net::SocketAddr, time::Duration};

use dfaas_agent::proxy::Proxy;

use crate::{
    client::{call, call_from},
    harness::{Node, PEER_A, PEER_B, Server, accepting, function, local_first, node_id, to_peers, weighted},
};

const CALL: &str = "POST /function/figlet HTTP/1.1";
const LONELY: &str = "POST /function/lonely HTTP/1.1";
const UNAVAILABLE: (u16, &str) = (503, "{\"error\":\"functions unavailable\"}\n");

async fn until_gateway(proxy: &Proxy, up: bool) {
    for _ in 0..600 {
        if proxy.health().await.unwrap().gateway_up == up {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("haproxy never says that the gateway is {}", if up { "up" } else { "down" });
}

#[tokio::test]
async fn own_calls_go_to_peers_while_the_gateway_is_dead_and_come_back_with_it() {
    let mut node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let figlet = accepting(to_peers(local_first(Some(1_000.0)), &[(PEER_A, 1)]), PEER_B, 100.0);
    let decision = node.decision(&[("figlet", figlet), ("lonely", local_first(None))]);
    let mut proxy = node.start(&decision).await;
    for frontend in [node.service(), node.placed()] {
        assert_eq!(call(frontend, CALL).await.body, "gateway /function/figlet 0");
    }

    node.gateway.kill().await;
    until_gateway(&proxy, false).await;
    for frontend in [node.service(), node.placed()] {
        assert_eq!(call(frontend, CALL).await.body, "peer-a /function/figlet 0");
        let lonely = call(frontend, LONELY).await;
        assert_eq!((lonely.status, lonely.body.as_str()), UNAVAILABLE);
        assert_eq!(lonely.header("Retry-After"), Some("1"));
    }
    // What peers send goes no further.
    let from_peer = call_from(node.ip(12), node.service(), &format!("{CALL}\nDFaaS-Node-ID: {PEER_B}")).await;
    assert_eq!((from_peer.status, from_peer.body.as_str()), UNAVAILABLE);
    let handed_off = call_from(node.ip(12), node.handoff(22), CALL).await;
    assert_eq!((handed_off.status, handed_off.body.as_str()), UNAVAILABLE);
    assert_eq!((a.calls(), node.gateway.calls()), (2, 2));

    let sample = proxy.sample().await.unwrap();
    let (of, lonely) = (&sample.functions[&function("figlet")], &sample.functions[&function("lonely")]);
    assert_eq!(
        (of.service, of.placed_first, of.placed_kept),
        (2, 1, 0),
        "the kernel's count of a diverted call stands"
    );
    assert_eq!((of.served_local, of.forwarded[&node_id(PEER_A)], of.refused), (2, 2, 0));
    let peer = &of.from_peers[&node_id(PEER_B)];
    assert_eq!((peer.forwarded, peer.handed_off, peer.refused), (1, 1, 2));
    assert_eq!((lonely.service, lonely.placed_first, lonely.served_local, lonely.refused), (1, 0, 0, 2));

    node.gateway = Server::start(SocketAddr::new(node.ip(2), 8080), "gateway").await;
    until_gateway(&proxy, true).await;
    for frontend in [node.service(), node.placed(), node.handoff(22)] {
        assert_eq!(call(frontend, CALL).await.body, "gateway /function/figlet 0");
    }
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn shares_of_refusal_stay_while_the_gateway_is_dead() {
    let mut node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let mut proxy = node.start(&node.decision(&[("figlet", weighted(50, 20, &[(PEER_A, 30)]))])).await;
    node.gateway.kill().await;
    until_gateway(&proxy, false).await;
    let mut statuses = Vec::new();
    for _ in 0..50 {
        statuses.push(call(node.service(), CALL).await.status);
    }
    let of = |status| statuses.iter().filter(|found| **found == status).count();
    assert!(of(429).abs_diff(10) <= 1 && of(200) + of(429) == 50, "{statuses:?}");
    assert_eq!((a.calls() as usize, node.gateway.calls()), (of(200), 0));
    let sample = proxy.sample().await.unwrap();
    assert_eq!(sample.functions[&function("figlet")].refused as usize, of(429));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_answers_slowly_or_with_errors_stays_in_use() {
    use axum::http::StatusCode;
    let mut node = Node::new().await;
    let _a = Server::start(node.peer_address(11), "peer-a").await;
    node.gateway.kill().await;
    let address = SocketAddr::new(node.ip(2), 8080);
    node.gateway = Server::answering(address, "gateway", StatusCode::INTERNAL_SERVER_ERROR).await;
    let table = to_peers(local_first(Some(1_000.0)), &[(PEER_A, 1)]);
    let proxy = node.start(&node.decision(&[("figlet", table)])).await;
    for _ in 0..30 {
        assert_eq!(call(node.service(), CALL).await.status, 500);
    }
    let slow = (0..8).map(|_| call(node.service(), "POST /function/figlet?slow HTTP/1.1"));
    let slow = futures::future::join_all(slow).await;
    assert!(slow.iter().all(|answer| answer.status == 500), "{slow:?}");
    assert!(proxy.health().await.unwrap().gateway_up);
    proxy.stop(Duration::ZERO).await.unwrap();
}
