//! Packet tables: frames through the real kernel programs (`BPF_PROG_TEST_RUN`), one row per case. A row says what goes
//! in and what comes out: exactly one verdict counted, the action, every byte of the frame, the hint for TC, the
//! counters, the flow tables, the events; what it does not mention must not change.
//!
//! Each row runs twice, on zeroed headroom as the kernel gives it to test runs and on headroom filled with 0xFF, and
//! frames are compared whole: a byte that a program forgets to write shows in one of the two. Covered that way is what
//! grows at the head of an XDP frame (up to [`bench::POISON`] bytes); nothing ever grows at the tail. Not covered: bytes
//! that TC makes room for, because test runs give TC no poisoned headroom (compared whole against zeroes all the same).
//!
//! TC test runs carry no metadata and are not at TC ingress, where alone the kernel makes sockets, so what depends on a
//! hint from XDP runs over a veth pair with all programs attached, to real listeners ([`live`]). Rows with a hint run in
//! both ways of giving it, as metadata and in the source address. GRO, GSO and other drivers are not covered here.
//!
//! As root, each table in a network namespace of its own.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "packets/bench.rs"]
mod bench;
#[path = "packets/calls.rs"]
mod calls;
#[path = "packets/first.rs"]
mod first;
#[path = "packets/grammar.rs"]
mod grammar;
#[path = "packets/handoff.rs"]
mod handoff;
#[path = "packets/handshake.rs"]
mod handshake;
#[path = "packets/hints.rs"]
mod hints;
#[path = "packets/later.rs"]
mod later;
#[path = "packets/live.rs"]
mod live;
#[path = "packets/not_ours.rs"]
mod not_ours;
#[path = "packets/observe.rs"]
mod observe;
#[path = "packets/peers.rs"]
mod peers;
#[path = "packets/placing.rs"]
mod placing;
#[path = "packets/refusal.rs"]
mod refusal;
#[path = "packets/returned.rs"]
mod returned;
#[path = "packets/reuse.rs"]
mod reuse;
#[path = "packets/row.rs"]
mod row;
#[path = "packets/runner.rs"]
mod runner;
#[path = "packets/tunnel.rs"]
mod tunnel;
#[path = "packets/world.rs"]
mod world;

use dfaas_common::settings::HintWay;
use row::Row;
use world::Now;

/// A name and its rows.
type Table = (&'static str, fn(Now) -> Vec<Row>);

/// Tables whose rows are one packet each.
const TABLES: [Table; 13] = [
    ("not ours", not_ours::rows),
    ("handshake", handshake::rows),
    ("calls", calls::rows),
    ("first data", first::rows),
    ("refusal", refusal::rows),
    ("later", later::rows),
    ("reuse", reuse::rows),
    ("tunnel checks", tunnel::rows),
    ("hand-off", handoff::rows),
    ("returned", returned::rows),
    ("placing", placing::rows),
    ("observe", observe::rows),
    ("hints", hints::rows),
];
/// Fewer are a table that has been lost.
const LEAST_ROWS: usize = 450;

fn run(table: &str) {
    runner::run(*TABLES.iter().find(|(name, _)| *name == table).unwrap());
}

#[test]
fn packets_that_are_not_ours_pass_untouched() {
    run("not ours");
}

#[test]
fn handshakes_are_answered_without_state() {
    run("handshake");
}

#[test]
fn first_data_packets_prove_their_handshake_and_name_a_function() {
    run("calls");
}

#[test]
fn first_data_packets_go_where_the_table_says() {
    run("first data");
}

#[test]
fn refusals_are_answered_in_place() {
    run("refusal");
}

#[test]
fn later_packets_follow_the_decision() {
    run("later");
}

#[test]
fn a_reused_tuple_and_a_dead_peer_are_decided_anew() {
    run("reuse");
}

#[test]
fn tunnel_packets_prove_themselves() {
    run("tunnel checks");
}

#[test]
fn handed_off_connections_are_taken_or_sent_back() {
    run("hand-off");
}

#[test]
fn what_peers_return_or_send_back_finds_its_way() {
    run("returned");
}

#[test]
fn tc_places_and_returns() {
    run("placing");
}

#[test]
fn observation_counts_and_passes() {
    run("observe");
}

#[test]
fn what_is_for_this_node_is_told_to_tc_on_every_driver() {
    run("hints");
}

#[test]
fn xdp_and_tc_together_make_sockets() {
    live::run(HintWay::Auto);
}

#[test]
fn xdp_and_tc_together_make_sockets_without_metadata() {
    live::run(HintWay::Source);
}

#[test]
fn any_frame_has_one_verdict_and_nothing_wrong_is_sent() {
    grammar::run();
}

#[test]
fn the_tables_have_no_fewer_rows_than_promised() {
    let mut total = 0;
    let mut names = std::collections::BTreeSet::new();
    for (table, rows) in TABLES {
        let rows = rows(Now::read());
        println!("{table}: {} rows", rows.len());
        total += rows.len();
        for row in rows {
            assert!(names.insert(format!("{table}: {}", row.name)), "two rows are called {table}: {}", row.name);
        }
    }
    println!("{total} rows in all");
    assert!(total >= LEAST_ROWS, "{total} rows, at least {LEAST_ROWS} expected");
}
