//! How many calls go where.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use dfaas_agent::{
    decision::FunctionTable,
    proxy::{Applied, Proxy},
};

use crate::{
    client::{Answer, Connection, call, call_from},
    harness::{Node, OWN_ID, PEER_A, PEER_B, Server, accepting, function, local_first, node_id, to_peers, weighted},
};

const CALL: &str = "POST /function/fig-let HTTP/1.1";

async fn calls(node: &Node, count: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..count {
        answers.push(call(node.service(), CALL).await);
    }
    answers
}

fn statuses(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Sends bursts until one is done within half a second, so that a busy machine does not shift the window.
async fn burst(node: &Node, count: usize) -> Vec<Answer> {
    loop {
        let start = Instant::now();
        let answers = calls(node, count).await;
        if start.elapsed() < Duration::from_millis(500) {
            return answers;
        }
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }
}

#[tokio::test]
async fn the_excess_over_the_local_limit_goes_to_peers_by_weight() {
    let node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let b = Server::start(node.peer_address(12), "peer-b").await;
    let table = to_peers(local_first(Some(10.0)), &[(PEER_A, 3), (PEER_B, 1)]);
    let mut proxy = node.start(&node.decision(&[("fig-let", table)])).await;
    let answers = burst(&node, 50).await;
    assert_eq!(statuses(&answers, 200), 50);
    let here = answers.iter().filter(|answer| answer.body.starts_with("gateway")).count();
    assert!((10..=16).contains(&here), "{here} calls were served here at a limit of 10/s");
    let (at_a, at_b) = (a.calls(), b.calls());
    assert!(at_a.abs_diff(3 * at_b) <= 4, "{at_a} and {at_b} are not 3 to 1");

    let forwarded = answers.iter().find(|answer| answer.body.starts_with("peer-a")).unwrap();
    assert_eq!(forwarded.header("X-Server"), Some(node.ip(11).to_string().as_str()));
    assert_eq!(forwarded.header("DFaaS-Forwarded-To"), Some(PEER_A));
    assert_eq!(forwarded.header("DFaaS-Node-ID"), Some(PEER_A));
    assert_eq!(a.seen("DFaaS-Node-ID").as_deref(), Some(OWN_ID));
    assert!(a.seen("x-forwarded-for").is_some());

    let sample = proxy.sample().await.unwrap();
    let of = &sample.functions[&function("fig-let")];
    assert_eq!(of.forwarded[&node_id(PEER_A)], at_a);
    assert_eq!(of.forwarded[&node_id(PEER_B)], at_b);
    assert_eq!(of.service, of.served_local + a.calls() + b.calls());
    assert_eq!(of.served_local, node.gateway.calls());
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_saturated_node_without_usable_peers_answers_429() {
    let node = Node::new().await;
    let _a = Server::start(node.peer_address(11), "peer-a").await;
    // Weight without grant, and grant without weight: neither peer is usable.
    let mut table = to_peers(local_first(Some(0.0)), &[(PEER_A, 5), (PEER_B, 0)]);
    table.limits_out.insert(node_id(PEER_A), 0.0);
    let mut proxy = node.start(&node.decision(&[("fig-let", table)])).await;
    let answer = call(node.service(), CALL).await;
    assert_eq!((answer.status, answer.body.as_str()), (429, "{\"error\":\"node saturated\"}\n"));
    assert_eq!(answer.header("Retry-After"), Some("1"));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("DFaaS-Node-ID"), None);
    assert_eq!(proxy.sample().await.unwrap().functions[&function("fig-let")].refused, 1);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_function_that_is_not_deployed_here_is_served_by_peers_only() {
    let node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let table = FunctionTable { deployed: false, ..to_peers(local_first(None), &[(PEER_A, 1)]) };
    let table = accepting(table, PEER_A, 100.0);
    let proxy = node.start(&node.decision(&[("fig-let", table)])).await;
    for frontend in [node.service(), node.placed()] {
        assert_eq!(call(frontend, CALL).await.body, "peer-a /function/fig-let 0");
    }
    let from_peer = format!("{CALL}\nDFaaS-Node-ID: {PEER_A}");
    assert_eq!(call_from(node.ip(11), node.service(), &from_peer).await.status, 429);
    assert_eq!((a.calls(), node.gateway.calls()), (2, 0));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn weights_share_a_hundred_calls_between_this_node_peers_and_refusal() {
    let node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let b = Server::start(node.peer_address(12), "peer-b").await;
    let table = weighted(50, 20, &[(PEER_A, 20), (PEER_B, 10)]);
    let mut proxy = node.start(&node.decision(&[("fig-let", table)])).await;
    let answers = calls(&node, 100).await;
    let near = |found: u64, expected: u64| assert!(found.abs_diff(expected) <= 2, "{found} for {expected}");
    near(node.gateway.calls(), 50);
    near(a.calls(), 20);
    near(b.calls(), 10);
    near(statuses(&answers, 429) as u64, 20);

    let all_refused = node.decision(&[("fig-let", weighted(0, 1, &[]))]);
    assert_eq!(proxy.apply(&all_refused).await.unwrap(), Applied::Values);
    assert_eq!(statuses(&calls(&node, 20).await, 429), 20);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_share_of_peers_that_are_down_falls_to_this_node() {
    let node = Node::new().await;
    let proxy = node.start(&node.decision(&[("fig-let", weighted(10, 0, &[(PEER_A, 90)]))])).await;
    until_peer(&proxy, PEER_A, false).await;
    assert_eq!(statuses(&calls(&node, 30).await, 200), 30);
    assert_eq!(node.gateway.calls(), 30);

    let _a = Server::start(node.peer_address(11), "peer-a").await;
    until_peer(&proxy, PEER_A, true).await;
    let back = calls(&node, 20).await;
    assert!(back.iter().filter(|answer| answer.body.starts_with("peer-a")).count() >= 16);
    proxy.stop(Duration::ZERO).await.unwrap();
}

async fn until_peer(proxy: &Proxy, peer: &str, up: bool) {
    for _ in 0..200 {
        if proxy.health().await.unwrap().peers.get(&node_id(peer)) == Some(&up) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("peer {peer} did not become {}", if up { "up" } else { "down" });
}

#[tokio::test]
async fn a_call_to_a_peer_that_refuses_connections_is_repeated_at_another() {
    let node = Node::new().await;
    let b = Server::start(node.peer_address(12), "peer-b").await;
    let table = to_peers(local_first(Some(0.0)), &[(PEER_A, 1), (PEER_B, 1)]);
    let proxy = node.start(&node.decision(&[("fig-let", table)])).await;
    // At once, before the health checks have seen that A is down.
    let answers = calls(&node, 10).await;
    assert_eq!(statuses(&answers, 200), 10, "{answers:?}");
    assert_eq!(b.calls(), 10);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_refusal_of_a_peer_reaches_the_client_and_is_not_executed_twice() {
    let node = Node::new().await;
    let a = Server::answering(node.peer_address(11), "peer-a", StatusCode::TOO_MANY_REQUESTS).await;
    let proxy = node.start(&node.decision(&[("fig-let", weighted(0, 0, &[(PEER_A, 1)]))])).await;
    assert_eq!(call(node.service(), CALL).await.status, 429);
    assert_eq!(a.calls(), 1);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_peer_gets_what_it_was_granted_and_is_never_forwarded() {
    let node = Node::new().await;
    let b = Server::start(node.peer_address(12), "peer-b").await;
    let table = accepting(to_peers(local_first(Some(0.0)), &[(PEER_B, 1)]), PEER_A, 5.0);
    let mut proxy = node.start(&node.decision(&[("fig-let", table)])).await;
    let from_peer = |id| format!("{CALL}\nDFaaS-Node-ID: {id}");
    let start = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(call_from(node.ip(11), node.service(), &from_peer(PEER_A)).await);
    }
    let seconds = start.elapsed().as_secs() as usize + 1;
    let good = statuses(&answers, 200);
    assert!(good >= 5 && good <= 5 * (seconds + 1), "{good} calls accepted in {seconds} s at a grant of 5/s");
    assert_eq!(good + statuses(&answers, 429), 20);
    assert_eq!(call_from(node.ip(12), node.service(), &from_peer(PEER_B)).await.status, 429, "no grant at all");
    assert_eq!((b.calls(), node.gateway.calls() as usize), (0, good));

    let sample = proxy.sample().await.unwrap();
    let a = &sample.functions[&function("fig-let")].from_peers[&node_id(PEER_A)];
    assert_eq!((a.forwarded, a.refused as usize), (20, 20 - good));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn only_the_first_request_of_a_placed_connection_skips_the_limit() {
    let node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let table = to_peers(local_first(Some(0.0)), &[(PEER_A, 1)]);
    let mut proxy = node.start(&node.decision(&[("fig-let", table), ("free", local_first(None))])).await;
    let mut connection = Connection::open(node.placed()).await.unwrap();
    let first = connection.send("POST /function/free HTTP/1.1", b"").await.unwrap();
    assert!(first.status == 200 && !first.closes(), "{first:?}");
    let later = connection.send(CALL, b"").await.unwrap();
    assert_eq!(later.body, "peer-a /function/fig-let 0", "no free pass for the second");
    assert!(later.closes(), "a full node lets go of the client");

    let placed = call(node.placed(), CALL).await;
    assert_eq!(placed.body, "gateway /function/fig-let 0");
    assert!(placed.closes());
    assert_eq!(a.calls(), 1);
    let sample = proxy.sample().await.unwrap();
    let of = &sample.functions[&function("fig-let")];
    assert_eq!((of.placed_first, of.placed_kept, of.service), (1, 1, 0));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_labelled_function_has_its_own_time_limit() {
    let node = Node::new().await;
    let slow = "POST /function/fig-let?slow HTTP/1.1";
    let short = |timeout_ms| FunctionTable { timeout: Some(Duration::from_millis(timeout_ms)), ..local_first(None) };
    let mut proxy = node.start(&node.decision(&[("fig-let", short(10_000))])).await;
    assert_eq!(call(node.service(), slow).await.status, 200);
    // The function takes one second, as does the limit of 0 s with its second of grace: 504, or just in time.
    assert_eq!(proxy.apply(&node.decision(&[("fig-let", short(1))])).await.unwrap(), Applied::Reloaded);
    let text = std::fs::read_to_string(node.settings.run_dir.join("haproxy.cfg")).unwrap();
    assert!(text.contains("timeout server 1001ms"), "{text}");
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn answers_are_told_apart_and_timed_here_and_at_peers() {
    let node = Node::new().await;
    let _peer = Server::answering(node.peer_address(11), "peer-a", StatusCode::SERVICE_UNAVAILABLE).await;
    let mut proxy = node.start(&node.decision(&[("fig-let", weighted(50, 0, &[(PEER_A, 50)]))])).await;
    let answers = calls(&node, 20).await;
    let slow = call(node.service(), "POST /function/fig-let?slow HTTP/1.1").await;
    let sample = proxy.sample().await.unwrap();
    let of = &sample.functions[&function("fig-let")];
    let well = answers.iter().chain([&slow]).filter(|answer| answer.status == 200).count() as u64;
    let badly = answers.iter().chain([&slow]).filter(|answer| answer.status == 503).count() as u64;
    assert!(well > 0 && badly > 0 && well + badly == 21, "{well} {badly}");
    assert_eq!((of.served_local, of.served_well), (well, well));
    assert_eq!((of.forwarded[&node_id(PEER_A)], of.forwarded_well[&node_id(PEER_A)]), (badly, 0));
    assert!(of.local_response_ms.is_some() && of.forward_response_ms.contains_key(&node_id(PEER_A)), "{of:?}");
    let slowest = of.local_response_ms.max(of.forward_response_ms.values().copied().max());
    assert!(slowest.is_some_and(|millis| millis > 20), "one call in 21 took a second: {of:?}");
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_stage_of_a_load_test_is_the_one_clients_told_last() {
    let node = Node::new().await;
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    assert_eq!(proxy.sample().await.unwrap().stage, None);
    for (header, stage) in [("0", 0), ("17", 17), ("x", 17), ("-3", 17), ("99999999999999999999", 17)] {
        call(node.service(), &format!("{CALL}\nDFaaS-K6-Stage: {header}")).await;
        assert_eq!(proxy.sample().await.unwrap().stage, Some(stage), "{header}");
    }
    proxy.stop(Duration::ZERO).await.unwrap();
}
