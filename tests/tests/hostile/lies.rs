//! What a peer says of itself, and does not keep.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use dfaas_agent::{kernel::mode::Mode, name::NodeId, p2p::message::ProxyAddress};
use dfaas_tests::{client::Call, netns::Entrance};

use crate::{
    SETTLE, federation,
    strangers::{Stranger, Strangers, address_of, proxy},
};

/// A server that answers calls with an error and all else well, for the rest of the test; how many calls it has got.
fn failing_server(at: &Entrance, address: SocketAddr) -> Arc<AtomicU64> {
    let calls = Arc::new(AtomicU64::new(0));
    let (entrance, counted) = (at.clone(), Arc::clone(&calls));
    let listener = at.enter(|| TcpListener::bind(address).unwrap()).unwrap();
    thread::spawn(move || {
        entrance.go().unwrap();
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                let mut head = [0; 4096];
                let read = connection.read(&mut head).unwrap_or(0);
                let is_call = head[..read].windows(10).any(|part| part == b"/function/");
                counted.fetch_add(u64::from(is_call), Relaxed);
                let status = if is_call { "500 Internal Server Error" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = connection.write_all(answer.as_bytes());
            });
        }
    });
    calls
}

/// A stranger that says again and again that it takes a million calls at an address.
fn stranger(from: &Entrance, node: (String, NodeId), proxy: ProxyAddress) -> Strangers {
    let act = move |met: &mut Option<Stranger>| {
        let functions = ["figlet".parse().unwrap()];
        met.get_or_insert_with(|| Stranger::meet(&node.0)).speak(&node.1, &functions, &proxy);
    };
    Strangers::start(from, Duration::from_millis(400), act)
}

#[test]
fn calls_go_to_nobody_who_names_another_address_or_fails_them() {
    let federation = federation(|options| {
        options.nodes = 2;
        options.rate_limits = vec![0, 200];
    });
    let (n1, guest) = (&federation.nodes[0], federation.guest(0));
    let (inside, outside) = (federation.host(0).namespace.entrance().unwrap(), guest.namespace.entrance().unwrap());
    let loopback = failing_server(&inside, ([127, 0, 0, 1], 9999).into());
    let failing = failing_server(&outside, (guest.address, 9000).into());
    let node = || (address_of(n1), n1.id.clone());
    let _thief = stranger(&outside, node(), proxy([127, 0, 0, 1].into(), 9999));
    let _hole = stranger(&outside, node(), proxy(guest.address, 9000));
    federation
        .wait_until(SETTLE, |statuses| {
            let peers = statuses[0].1.peers.iter().filter(|peer| peer.state == "up").count();
            (peers < 3).then(|| format!("{peers} peers are up, expected n2 and both strangers"))
        })
        .unwrap();
    let status = federation.status(0).unwrap();
    let thief = status.peers.iter().find(|peer| peer.trouble.as_ref().is_some_and(|text| text.contains("127.0.0.1")));
    assert!(thief.is_some(), "{:?}", status.peers);

    let client = federation.client().unwrap();
    let call = || Call::get(federation.url(0, "/function/figlet")).send(&client).unwrap().status;
    // At first a stranger is believed: it gets calls, fails them, and gets no more.
    let mut in_a_row = 0;
    let statuses: Vec<u16> = (0..400)
        .map(|_| {
            thread::sleep(Duration::from_millis(40));
            call()
        })
        .take_while(|status| {
            in_a_row = if *status == 200 { in_a_row + 1 } else { 0 };
            in_a_row < 60
        })
        .collect();
    let lost = statuses.iter().filter(|status| **status != 200).count();
    assert_eq!(in_a_row, 60, "{lost} calls of {} failed", statuses.len());
    assert!(failing.load(Relaxed) > 0, "the stranger has never been tried");
    assert_eq!(loopback.load(Relaxed), 0, "calls went to this node's own loopback");
}

#[test]
fn a_stranger_is_nothing_to_nodes_that_share_a_secret() {
    let federation = federation(|options| {
        options.nodes = 2;
        options.mode = Mode::Off;
        options.settings.insert("AGENT_FEDERATION_SECRET".to_owned(), "known to both nodes alone".to_owned());
    });
    let (n1, guest) = (&federation.nodes[0], federation.guest(0));
    let outside = guest.namespace.entrance().unwrap();
    let _stranger = stranger(&outside, (address_of(n1), n1.id.clone()), proxy(guest.address, 9000));
    federation
        .wait_until(SETTLE, |_| {
            let log = std::fs::read_to_string(&n1.log).unwrap();
            (!log.contains("does not show that it knows")).then(|| "n1 has not refused the stranger".to_owned())
        })
        .unwrap();
    let status = federation.status(0).unwrap();
    let up: Vec<_> = status.peers.iter().filter(|peer| peer.state == "up").map(|peer| &peer.node).collect();
    assert_eq!(up, [&federation.nodes[1].id]);
    assert!(!status.overlay.detail.contains("open"), "{}", status.overlay.detail);
    let granted = status.functions.values().flat_map(|function| function.limits_in.keys());
    assert!(granted.into_iter().all(|node| *node == federation.nodes[1].id), "the stranger is granted something");
}
