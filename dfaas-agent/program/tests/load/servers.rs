//! Servers of all kinds, and what is written down of them.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use dfaas_load::{record::Record, target::Target};

use crate::{
    arrivals::{attack, played},
    server::{self, Manner},
};

/// Ten requests in a tenth of a second.
fn ten(url: &str) -> Vec<Record> {
    played(&[attack(url, 100.0, Duration::from_millis(100))], 100).records
}

fn all(records: &[Record], code: u16, error: &str) {
    assert_eq!(records.len(), 10);
    for record in records {
        assert_eq!(record.exchange.code, code, "{record:?}");
        let expected =
            if error.is_empty() { record.exchange.error.is_empty() } else { record.exchange.error.contains(error) };
        assert!(expected, "{record:?}");
    }
}

#[test]
fn an_answer_of_a_forwarded_call_names_both_nodes() {
    let (address, _) = server::node("127.0.0.1");
    let records = ten(&format!("http://{address}/forwarded"));
    all(&records, 200, "");
    let exchange = &records[0].exchange;
    assert_eq!((exchange.node.as_deref(), exchange.forwarded_to.as_deref()), (Some("id1"), Some("id2")));
    assert_eq!(records[0].served_by().map(|name| &**name), Some("n2"));
}

#[test]
fn a_failure_of_the_server_is_an_answer_but_no_success() {
    let (address, _) = server::node("127.0.0.1");
    let records = ten(&format!("http://{address}/fail"));
    all(&records, 500, "");
    assert!(records.iter().all(|record| record.is_complete() && !record.is_success()));
}

#[test]
fn ipv6_and_chunks_are_understood() {
    let (address, _) = server::node("::1");
    let records = ten(&format!("http://{address}/chunks"));
    all(&records, 200, "");
    assert!(records.iter().all(|record| record.exchange.bytes_in == 11));
}

#[test]
fn bodies_of_megabytes_go_both_ways() {
    let (address, _) = server::node("127.0.0.1");
    let mut attack = attack("http://unused/", 20.0, Duration::from_millis(150));
    let body = Bytes::from(vec![b'x'; 5_000_000]);
    attack.targets = vec![Target::new("POST", &format!("http://{address}/echo"), &[], body).unwrap()];
    let records = played(&[attack], 10).records;
    assert_eq!(records.len(), 3);
    for record in &records {
        let exchange = &record.exchange;
        assert_eq!((exchange.code, exchange.bytes_in, exchange.bytes_out), (200, 5_000_000, 5_000_000), "{record:?}");
    }
}

#[test]
fn connections_are_kept_unless_each_request_wants_its_own() {
    let (address, seen) = server::raw(Manner::Answer);
    let mut attack = attack(&format!("http://{address}/"), 100.0, Duration::from_millis(500));
    assert!(played(&[attack.clone()], 100).records.iter().all(Record::is_success));
    assert!(seen.connections.swap(0, Relaxed) < 50);
    attack.close = true;
    assert!(played(&[attack], 100).records.iter().all(Record::is_success));
    assert_eq!(seen.connections.load(Relaxed), 50);
}

#[test]
fn a_server_that_ends_its_connections_politely_fails_no_request() {
    let (address, seen) = server::raw(Manner::AnswerOnce);
    all(&ten(&format!("http://{address}/")), 200, "");
    assert_eq!(seen.connections.load(Relaxed), 10);
}

#[test]
fn whatever_goes_wrong_is_written_down() {
    for (manner, code, error) in [(Manner::Close, 0, "connection broken"), (Manner::BreakOff, 200, "answer broken off")]
    {
        let (address, _) = server::raw(manner);
        let records = ten(&format!("http://{address}/"));
        all(&records, code, error);
        assert!(!records.iter().any(Record::is_complete));
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    all(&ten(&format!("http://{free}/")), 0, "no connection");
}

#[test]
fn a_silent_server_costs_the_timeout_and_no_more() {
    let (address, _) = server::raw(Manner::Silence);
    let mut attack = attack(&format!("http://{address}/"), 100.0, Duration::from_millis(100));
    attack.timeout = Duration::from_millis(50);
    let records = played(&[attack], 100).records;
    all(&records, 0, "no answer within 50ms");
    assert!(records.iter().all(|record| record.service().unwrap() >= Duration::from_millis(50)));
}
