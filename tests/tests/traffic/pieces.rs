//! Requests that come in pieces: the kernel cannot read what has not come yet.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use dfaas_tests::client::Piece;

use crate::bed::Bed;

const BODY: &str = "hello";
/// Functions, and who has to serve them whichever way the call goes.
const FUNCTIONS: [(&str, usize); 2] = [("near", 0), ("far", 1)];

fn request(function: &str, more: &str) -> String {
    let (path, len) = (Bed::path(function), BODY.len());
    format!("POST {path} HTTP/1.1\r\nHost: n1\r\n{more}Content-Length: {len}\r\nConnection: close\r\n\r\n{BODY}")
}

/// Long enough for the first piece to be on its way alone.
fn pause() -> Piece {
    Piece::Wait(Duration::from_millis(3))
}

fn expect(bed: &Bed, pieces: &[Piece], function: &str, node: usize, what: &str) -> Result<()> {
    let reply = bed.exchange(pieces).with_context(|| format!("{function}, {what}"))?;
    let (statuses, nodes) = (reply.statuses(), reply.header("dfaas-node-id"));
    let right = statuses == [200] && nodes == [bed.federation.nodes[node].id.as_str()];
    ensure!(right && reply.text().ends_with(BODY), "{function}, {what}: {:?}", reply.text());
    Ok(())
}

fn cut(request: &str, at: usize) -> [Piece; 3] {
    [Piece::text(&request[..at]), pause(), Piece::text(&request[at..])]
}

fn pieces_are_put_together(place: XdpPlace) -> Result<()> {
    let bed = Bed::new(2, place)?;
    for (function, node) in FUNCTIONS {
        let whole = request(function, "");
        let line_len = whole.find("\r\n").context("no line")? + 2;
        let before = bed.verdict(0, Verdict::NotACall)?;
        for at in 1..=line_len {
            expect(&bed, &cut(&whole, at), function, node, &format!("cut at {at}"))?;
        }
        // All up to the blank behind the name.
        let unread = bed.verdict(0, Verdict::NotACall)? - before;
        let name_end = "POST /function/".len() + function.len();
        ensure!(unread as usize == name_end, "{function}: {unread} cuts left the name unread, expected {name_end}");
        for at in (line_len..whole.len()).step_by(9) {
            expect(&bed, &cut(&whole, at), function, node, &format!("cut at {at}"))?;
        }
        let bytes = whole.as_bytes().iter();
        let bytes: Vec<_> =
            bytes.flat_map(|b| [Piece::Send(vec![*b]), Piece::Wait(Duration::from_millis(1))]).collect();
        expect(&bed, &bytes, function, node, "byte by byte")?;
        let long = request(function, &format!("X-Long: {}\r\n", "x".repeat(6000)));
        expect(&bed, &[Piece::text(&long)], function, node, "a header of 6000 bytes")?;
        let late = [Piece::Wait(Duration::from_secs(3)), Piece::text(&whole)];
        expect(&bed, &late, function, node, "3 s of silence first")?;
    }
    bed.wait_without_flows()
}

#[test]
fn requests_in_pieces_are_served_by_the_right_node_with_native_xdp() {
    pieces_are_put_together(XdpPlace::Native).unwrap();
}

#[test]
fn requests_in_pieces_are_served_by_the_right_node_with_generic_xdp() {
    pieces_are_put_together(XdpPlace::Generic).unwrap();
}
