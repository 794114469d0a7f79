//! Clients that claim to be nodes.

use std::{net::SocketAddr, time::Duration};

use dfaas_tests::client::{Call, NODE_HEADER, Piece, exchange};

use crate::Bed;

/// Calls of `env` at n1 are forwarded, those of `figlet` served.
fn bed() -> Bed {
    Bed::new(|options| {
        options.rate_limits_of.insert("env".to_owned(), vec![0, 20, 30]);
    })
}

#[test]
fn a_client_that_claims_to_be_a_node_is_refused_on_every_path() {
    let bed = bed();
    let ids: Vec<String> = bed.nodes.iter().map(|node| node.id.to_string()).collect();
    let local = Call::get(bed.url(0, "/function/figlet"));
    let forwarded = Call::get(bed.url(0, "/function/env"));
    // Without the claim all is well, and the paths are those that are meant.
    assert_eq!(bed.served(&local).1, "n1");
    assert_ne!(bed.served(&forwarded).1, "n1");
    let peers_port = Call::get(format!("http://{}:30080/function/figlet", bed.nodes[0].address));
    for call in [local, forwarded, peers_port] {
        for id in ids.iter().map(String::as_str).chain(["", "nobody"]) {
            let answer = bed.call(&call.clone().header(NODE_HEADER, id));
            assert_eq!(answer.status, 403, "{} as {id:?}: {}", call.url, answer.text());
        }
        let twice = call.clone().header(NODE_HEADER, &ids[1]).header(NODE_HEADER, &ids[2]);
        assert_eq!(bed.call(&twice).status, 403, "{} with two claims", call.url);
    }
    bed.stop();
}

#[test]
fn a_claim_that_comes_after_the_first_packet_is_refused_too() {
    let bed = bed();
    let (client, address) = (bed.from(), SocketAddr::new(bed.nodes[0].address.into(), 80));
    for function in ["figlet", "env"] {
        let status = |claim: &str| {
            let pieces = [
                Piece::text(&format!("GET /function/{function} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")),
                Piece::Wait(Duration::from_millis(100)),
                Piece::text(&format!("{claim}\r\n")),
            ];
            let answer = exchange(&client, address, &pieces, Duration::from_secs(20)).unwrap();
            String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(status(""), "200", "{function}");
        assert_eq!(status(&format!("DFaaS-Node-ID: {}\r\n", bed.nodes[1].id)), "403", "{function}");
        // A second request on the connection, after one without a claim.
        let pieces = [
            Piece::text(&format!("GET /function/{function} HTTP/1.1\r\nHost: a\r\n\r\n")),
            Piece::Wait(Duration::from_millis(500)),
            Piece::text(&format!(
                "GET /function/{function} HTTP/1.1\r\nHost: a\r\nConnection: close\r\ndfaas-node-id: {}\r\n\r\n",
                bed.nodes[1].id
            )),
        ];
        // A connection that the first answer has closed serves no claim either.
        if let Ok(answer) = exchange(&client, address, &pieces, Duration::from_secs(20)) {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{function}: {answer}");
        }
    }
    bed.stop();
}
