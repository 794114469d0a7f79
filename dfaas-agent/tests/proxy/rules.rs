//! Who may call what.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use crate::{
    client::{Connection, call, call_from},
    harness::{Node, OWN_ID, PEER_A, PEER_B, Server, accepting, function, local_first, to_peers},
};

fn from_node(id: &str) -> String {
    format!("POST /function/figlet HTTP/1.1\nDFaaS-Node-ID: {id}")
}

#[tokio::test]
async fn only_exact_function_paths_and_health_are_served() {
    let node = Node::new().await;
    let names = [("fig", local_first(None)), ("figlet-2.x_y", local_first(None)), ("local", local_first(None))];
    let proxy = node.start(&node.decision(&names)).await;
    for (path, status) in [
        ("/", 200),
        ("/healthz", 200),
        ("/healthz/x", 403),
        ("/system/functions", 403),
        ("/function", 403),
        ("/functions/fig", 403),
        ("/function/../system/functions", 403),
        ("/function/fig/%2e%2E/%2e%2e/system/functions", 403),
        ("/function/fig/%zz/../../system/functions", 400),
        ("/function/fig/%", 400),
        ("/function/fig/%00", 400),
        ("/function/", 404),
        ("/function/figlet", 404),
        ("/function/fi", 404),
        ("/function/f%69g", 404),
        ("/function/FIG", 404),
        ("/function/figlet-2.x_yz", 404),
        ("/function/fig", 200),
        ("/function/fig?a=/function/figlet", 200),
        ("/function/fig/deeper/x?y", 200),
        ("/function/figlet-2.x_y", 200),
        ("/function/local", 200),
    ] {
        for frontend in [node.service(), node.placed()] {
            let answer = call(frontend, &format!("GET {path} HTTP/1.1")).await;
            assert_eq!(answer.status, status, "{path} at {frontend}: {answer:?}");
        }
    }
    assert_eq!(node.gateway.calls(), 10);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_head_beyond_the_limits_or_with_a_method_for_proxies_is_refused_and_no_proxy_is_named_to_functions() {
    let node = Node::new().await;
    let proxy = node.start(&node.decision(&[("figlet", local_first(None))])).await;
    let many = "\nX: y".repeat(96);
    let long = format!("\nX: {}", "y".repeat(14_400));
    let target = "x".repeat(8_000);
    for (head, status) in [
        ("TRACE /function/figlet HTTP/1.1".to_owned(), 501),
        (format!("GET /function/figlet/{target} HTTP/1.1"), 414),
        (format!("GET /function/figlet?{target} HTTP/1.1"), 414),
        (format!("GET /function/figlet HTTP/1.1{many}"), 431),
        (format!("GET /function/figlet HTTP/1.1{long}"), 431),
        ("GET /function/figlet HTTP/1.1\nproxy: http://evil.example".to_owned(), 200),
    ] {
        for frontend in [node.service(), node.placed(), node.handoff(21)] {
            assert_eq!(call(frontend, &head).await.status, status, "{head:.60} at {frontend}");
        }
    }
    assert_eq!((node.gateway.calls(), node.gateway.seen("proxy")), (3, None));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn no_process_of_this_machine_reaches_the_listener_for_placed_connections() {
    let mut node = Node::new().await;
    // As the kernel's sockets are: to the service's address, at a listener that has another port.
    node.settings.placed_for = Some(node.service());
    let proxy = node.start(&node.decision(&[("figlet", local_first(Some(1.0)))])).await;
    for source in [node.ip(1), node.ip(99)] {
        // The end may come before the connection is known to stand.
        if let Ok(mut connection) = Connection::from(node.placed(), Some(source)).await {
            let answer = connection.send("GET /function/figlet HTTP/1.1", b"").await;
            assert!(answer.is_err(), "{answer:?} from {source}");
        }
    }
    assert_eq!(node.gateway.calls(), 0);
    proxy.stop(Duration::ZERO).await.unwrap();
    node.settings.placed_for = node.settings.placed;
    let proxy = node.start(&node.decision(&[("figlet", local_first(Some(1.0)))])).await;
    assert_eq!(call(node.placed(), "GET /function/figlet HTTP/1.1").await.status, 200);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_local_answer_names_this_node_and_the_client_is_told_to_the_function() {
    let node = Node::new().await;
    let proxy = node.start(&node.decision(&[("figlet", local_first(None))])).await;
    for frontend in [node.service(), node.placed(), node.handoff(21)] {
        let answer = call_from(node.ip(99), frontend, "POST /function/figlet HTTP/1.1").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "gateway /function/figlet 0"));
        assert_eq!(answer.header("X-Server"), Some(node.ip(1).to_string().as_str()));
        assert_eq!(answer.header("DFaaS-Node-ID"), Some(OWN_ID));
        assert_eq!(node.gateway.seen("x-forwarded-for"), Some(node.ip(99).to_string()));
    }
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_node_header_is_believed_only_from_that_nodes_address() {
    let node = Node::new().await;
    let table = accepting(accepting(local_first(None), PEER_A, 100.0), PEER_B, 100.0);
    let mut proxy = node.start(&node.decision(&[("figlet", table)])).await;
    let (a, b, stranger) = (node.ip(11), node.ip(12), node.ip(99));
    let twice = format!("{}\nDFaaS-Node-ID: {PEER_A}", from_node(PEER_A));
    let second_empty = format!("{}\nDFaaS-Node-ID:", from_node(PEER_A));
    for (source, head, status) in [
        (a, from_node(PEER_A), 200),
        (b, from_node(PEER_B), 200),
        (b, from_node(PEER_A), 403),
        (stranger, from_node(PEER_A), 403),
        (stranger, from_node(&format!("{PEER_A}@{a}")), 403),
        (a, from_node(OWN_ID), 403),
        (a, from_node("nobody"), 403),
        (a, from_node(""), 403),
        (a, from_node(&format!("{PEER_A},{PEER_A}")), 403),
        (a, from_node(&format!("{PEER_A}, {PEER_B}")), 403),
        (a, twice, 403),
        (a, second_empty, 403),
    ] {
        for frontend in [node.service(), node.placed()] {
            let answer = call_from(source, frontend, &head).await;
            assert_eq!(answer.status, status, "{head:?} from {source} at {frontend}");
        }
        let handed_off = call_from(source, node.handoff(21), &head).await;
        assert_eq!(handed_off.status, 403, "{head:?} from {source}");
    }
    assert_eq!(node.gateway.calls(), 4);
    let sample = proxy.sample().await.unwrap();
    assert_eq!(sample.forbidden, 10 * 2 + 12);
    assert_eq!(sample.functions[&function("figlet")].from_peers.len(), 2);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_handed_off_connection_needs_a_known_alias_and_is_closed_after_the_answer() {
    let node = Node::new().await;
    let elsewhere = dfaas_agent::decision::FunctionTable { deployed: false, ..local_first(None) };
    let decision = node.decision(&[("figlet", local_first(None)), ("elsewhere", elsewhere)]);
    let mut proxy = node.start(&decision).await;
    let head = "POST /function/figlet HTTP/1.1";
    let answer = call(node.handoff(21), head).await;
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    assert_eq!(call(node.handoff(30), head).await.status, 403, "an alias of no peer");
    assert_eq!(call(node.handoff(21), "POST /function/other HTTP/1.1").await.status, 404);
    assert_eq!(call(node.handoff(21), "GET /system/functions HTTP/1.1").await.status, 403);
    assert_eq!(call(node.handoff(22), "POST /function/elsewhere HTTP/1.1").await.status, 429);

    let sample = proxy.sample().await.unwrap();
    let peer = |name, id: &str| sample.functions[&function(name)].from_peers[&id.parse().unwrap()].clone();
    assert_eq!(peer("figlet", PEER_A).handed_off, 1);
    assert_eq!((peer("elsewhere", PEER_B).handed_off, peer("elsewhere", PEER_B).refused), (1, 1));
    assert_eq!((sample.unknown, sample.forbidden), (1, 2));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn sticky_hand_off_connections_stay_open() {
    let mut node = Node::new().await;
    node.settings.sticky = true;
    let proxy = node.start(&node.decision(&[("figlet", accepting(local_first(None), PEER_A, 100.0))])).await;
    let mut connection = Connection::open(node.handoff(21)).await.unwrap();
    for _ in 0..3 {
        let answer = connection.send("POST /function/figlet HTTP/1.1", b"").await.unwrap();
        assert!(answer.status == 200 && !answer.closes(), "{answer:?}");
    }
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn further_calls_on_sticky_connections_are_held_to_the_grant_and_to_the_limit() {
    let mut node = Node::new().await;
    node.settings.sticky = true;
    let granted = accepting(local_first(None), PEER_A, 3.0);
    let limited = accepting(local_first(Some(3.0)), PEER_A, 100.0);
    let proxy = node.start(&node.decision(&[("figlet", granted), ("shasum", limited)])).await;
    for name in ["figlet", "shasum"] {
        let mut connection = Connection::open(node.handoff(21)).await.unwrap();
        let mut served = 0;
        // The rates are those of a second; the bound holds however long this takes, as long as one second is not over.
        let begun = std::time::Instant::now();
        let last = loop {
            let answer = connection.send(&format!("POST /function/{name} HTTP/1.1"), b"").await.unwrap();
            if answer.status != 200 {
                break answer;
            }
            served += 1;
            assert!(served <= 3 * (2 + begun.elapsed().as_secs()), "{name}: {served} served");
        };
        assert!(last.status == 429 && last.closes(), "{name}: {last:?}");
        assert!(served >= 1, "the first is the kernel's to judge");
    }
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn ipv6_works_throughout_and_peers_may_share_a_host() {
    let mut node = Node::new().await;
    let localhost = IpAddr::from(Ipv6Addr::LOCALHOST);
    let service = SocketAddr::new(localhost, node.port());
    let gateway = Server::start(SocketAddr::new(localhost, node.port() + 1_000), "gateway").await;
    let peers = Server::start(SocketAddr::new(localhost, node.port() + 2_000), "peer-a").await;
    node.settings.service.push(service);
    node.settings.gateway_host = "::1".parse().unwrap();
    node.settings.gateway_port = node.port() + 1_000;
    let here = accepting(accepting(local_first(None), PEER_A, 9.0), PEER_B, 9.0);
    let there = to_peers(local_first(Some(0.0)), &[(PEER_A, 1), (PEER_B, 1)]);
    let mut decision = node.decision(&[("figlet", here), ("there", there)]);
    for peer in decision.peers.values_mut() {
        peer.host = "::1".parse().unwrap();
        peer.proxy = (localhost, node.port() + 2_000).into();
        peer.addresses = vec![localhost];
    }
    let proxy = node.start(&decision).await;
    assert_eq!(call(service, &from_node(PEER_A)).await.status, 200);
    assert_eq!(call(service, &from_node(PEER_B)).await.status, 200);
    assert_eq!(gateway.seen("x-forwarded-for").as_deref(), Some("::1"));
    for _ in 0..2 {
        let answer = call(service, "POST /function/there HTTP/1.1").await;
        assert_eq!((answer.status, answer.header("X-Server")), (200, Some("::1")));
    }
    assert_eq!((gateway.calls(), peers.calls()), (2, 2));
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_body_of_20_mb_passes_with_and_without_expect() {
    let node = Node::new().await;
    let proxy = node.start(&node.decision(&[("figlet", local_first(None))])).await;
    let body = vec![b'x'; 20 << 20];
    let mut connection = Connection::open(node.service()).await.unwrap();
    let answer = connection.send("POST /function/figlet HTTP/1.1", &body).await.unwrap();
    assert_eq!(answer.body, format!("gateway /function/figlet {}", body.len()));

    let answer = connection.send("POST /function/figlet HTTP/1.1\nExpect: 100-continue", b"abc").await.unwrap();
    assert_eq!(answer.status, 100, "{answer:?}");
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_exporter_answers_where_it_is_asked_to() {
    let mut node = Node::new().await;
    let exporter = SocketAddr::new(node.ip(1), 20_405);
    node.settings.exporter = Some(exporter);
    let proxy = node.start(&node.decision(&[])).await;
    assert_eq!(call(exporter, "GET /metrics HTTP/1.1").await.status, 200);
    assert_eq!(call(exporter, "GET /stats HTTP/1.1").await.status, 404);
    proxy.stop(Duration::ZERO).await.unwrap();
}
