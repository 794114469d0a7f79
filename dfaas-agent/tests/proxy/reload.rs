//! Changes under load: values without a reload, structure with one, and neither loses a call.

use std::time::Duration;

use dfaas_agent::proxy::{Applied, ProxyError};

use crate::{
    client::{Load, call},
    harness::{Node, PEER_A, PEER_B, Server, function, local_first, to_peers, weighted},
};

const CALL: &str = "POST /function/fig-let HTTP/1.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_change_under_load_without_a_reload_or_a_failure() {
    let node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let _b = Server::start(node.peer_address(12), "peer-b").await;
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    let pid = proxy.health().await.unwrap().pid;
    let load = Load::start(8, node.service(), CALL);
    for round in 1..=20 {
        let table = match round % 3 {
            0 => local_first(None),
            1 => to_peers(local_first(Some(f64::from(round))), &[(PEER_A, round), (PEER_B, 1)]),
            _ => weighted(round, 0, &[(PEER_A, 300 - round), (PEER_B, 2)]),
        };
        let decision = node.decision(&[("fig-let", table)]);
        assert_eq!(proxy.apply(&decision).await.unwrap(), Applied::Values, "round {round}");
        assert_eq!(proxy.apply(&decision).await.unwrap(), Applied::Unchanged);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let outcome = load.finish().await;
    assert!(outcome.bad.is_empty() && outcome.good > 100, "{outcome:?}");
    assert_eq!(outcome.connections, 8, "every client kept its connection");
    assert!(a.calls() > 0 && node.gateway.calls() > 0);
    assert_eq!(proxy.health().await.unwrap().pid, pid);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_lose_no_call_and_hardly_a_count() {
    let node = Node::new().await;
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    node.until_tables_are_handed_over().await;
    let loads = [Load::start(6, node.service(), CALL), Load::start(6, node.placed(), CALL)];
    let mut before = 0;
    for round in 0..5 {
        let name = format!("other-{round}");
        let decision = node.decision(&[("fig-let", local_first(None)), (&name, local_first(None))]);
        assert_eq!(proxy.apply(&decision).await.unwrap(), Applied::Reloaded);
        assert_eq!(call(node.service(), &format!("GET /function/{name} HTTP/1.1")).await.status, 200);
        let served = proxy.sample().await.unwrap().functions[&function("fig-let")].served_local;
        assert!(served >= before, "{served} after {before}");
        before = served;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut good = 0;
    for load in loads {
        let outcome = load.finish().await;
        assert!(outcome.bad.is_empty(), "{outcome:?}");
        good += outcome.good;
    }
    let of = proxy.sample().await.unwrap().functions[&function("fig-let")].clone();
    // The last call on a kept connection may come after the old worker has handed its tables over.
    let (last_calls, client_calls) = (5 * 12, of.service + of.placed_first + of.placed_kept);
    assert_eq!(of.served_local, client_calls);
    assert!(client_calls <= good && client_calls + last_calls >= good, "{client_calls} of {good}");
    assert_eq!(node.gateway.calls(), good + 5);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_right_after_the_start_loses_no_call_and_few_counts() {
    let node = Node::new().await;
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    let load = Load::start(8, node.service(), CALL);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let decision = node.decision(&[("fig-let", local_first(None)), ("other", local_first(None))]);
    assert_eq!(proxy.apply(&decision).await.unwrap(), Applied::Reloaded);
    let outcome = load.finish().await;
    assert!(outcome.bad.is_empty(), "{outcome:?}");
    let counted = proxy.sample().await.unwrap().functions[&function("fig-let")].service;
    assert!(counted <= outcome.good && counted > outcome.good / 2, "{counted} of {}", outcome.good);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_reload_does_not_grant_a_fresh_second() {
    let node = Node::new().await;
    let limited = local_first(Some(100_000.0));
    let mut proxy = node.start(&node.decision(&[("fig-let", limited.clone())])).await;
    node.until_tables_are_handed_over().await;
    // Enough calls that some of them are within the last second when the reload is done.
    let load = Load::start(4, node.service(), CALL);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    proxy.apply(&node.decision(&[("fig-let", limited), ("other", local_first(None))])).await.unwrap();
    let rate = proxy.sample().await.unwrap().functions[&function("fig-let")].local_rate;
    let outcome = load.finish().await;
    assert!(outcome.bad.is_empty(), "{outcome:?}");
    assert!(rate > 50, "{rate} calls/s remembered of {} in 1.5 s", outcome.good);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_refused_text_leaves_the_old_configuration() {
    let mut node = Node::new().await;
    let decision = node.decision(&[("fig-let", local_first(None))]);
    node.settings.user = Some(("no-such-user".to_owned(), "nogroup".to_owned()));
    match dfaas_agent::proxy::Proxy::start(node.settings.clone(), &decision).await {
        Err(ProxyError::Refused { message }) => assert!(message.contains("no-such-user"), "{message}"),
        Err(err) => panic!("{err}"),
        Ok(_) => panic!("a configuration with an unknown user was accepted"),
    }
    assert!(!node.settings.run_dir.join("haproxy.cfg").exists());

    node.settings.user = None;
    let mut proxy = node.start(&decision).await;
    let pid = proxy.health().await.unwrap().pid;
    let text = std::fs::read_to_string(node.settings.run_dir.join("haproxy.cfg")).unwrap();
    // Port 0 is a number for the type, but no port to call for HAProxy.
    let mut bad = node.decision(&[("fig-let", local_first(None)), ("other", local_first(None))]);
    bad.peers.first_entry().unwrap().get_mut().proxy.set_port(0);
    let err = proxy.apply(&bad).await.unwrap_err();
    assert!(matches!(&err, ProxyError::Refused { message } if message.contains("[ALERT]")), "{err}");
    assert_eq!(std::fs::read_to_string(node.settings.run_dir.join("haproxy.cfg")).unwrap(), text);
    assert_eq!(proxy.health().await.unwrap().pid, pid);
    assert_eq!(call(node.service(), CALL).await.status, 200);
    assert_eq!(proxy.apply(&decision).await.unwrap(), Applied::Unchanged);
    proxy.stop(Duration::ZERO).await.unwrap();
}
