//! Peers of the original, whose proxies refuse the path of their own health check (docs/compatibility.md, B17).

use std::time::Duration;

use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse};
use tokio::net::TcpListener;

use crate::{
    client::call,
    harness::{Node, PEER_A, local_first, node_id, to_peers},
};

async fn answer(request: Request) -> impl IntoResponse {
    let known = request.uri().path().starts_with("/function/");
    if known { (StatusCode::OK, "original") } else { (StatusCode::FORBIDDEN, "") }
}

#[tokio::test]
async fn a_peer_that_refuses_the_health_path_is_up_and_used() {
    let node = Node::new().await;
    let listener = TcpListener::bind(node.peer_address(11)).await.unwrap();
    let original = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let table = to_peers(local_first(Some(0.0)), &[(PEER_A, 1)]);
    let proxy = node.start(&node.decision(&[("figlet", table)])).await;
    // Peer B is not there: once that is known, the checks have been made.
    for _ in 0..300 {
        if proxy.health().await.unwrap().peers.values().any(|up| !up) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Another round of checks.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let peers = proxy.health().await.unwrap().peers;
    assert_eq!(peers.values().filter(|up| **up).count(), 1, "{peers:?}");
    assert!(peers[&node_id(PEER_A)]);
    let answer = call(node.service(), "POST /function/figlet HTTP/1.1").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "original"));
    original.abort();
    proxy.stop(Duration::ZERO).await.unwrap();
}
