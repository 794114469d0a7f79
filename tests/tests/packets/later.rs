//! Packets of connections that are decided.

use std::net::SocketAddrV4;

use dfaas_common::{
    flow::{CLIENT_FINISHED, CLIENT_HEARD, FINISHED, Flow, PEER_FINISHED, Target},
    peer::{DEAD, DRAINING},
    tunnel::{FIRST, LATER},
    verdict::Verdict::{EarlyToLocal, FirstChanged, FirstRepeated, LaterToLocal, LaterToPeer, PeerLost},
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST};

use super::{
    peers::to_peer,
    row::{LOCAL_EARLY, LOCAL_FIRST, PROXY_FIRST, Row, row},
    world::{B, CALL, CLIENT, Connection, ECHO_NUMBER, HERE, Now, SECRET, SERVICE, TO_PROXY, Where},
};

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [local(now), to_b(now), ends(now)].into_iter().flatten().collect()
}

fn local(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let case = |name: &str, frame: Frame| {
        row(format!("local: {name}"), frame)
            .flow(Where::Decided, c, c.flow(HERE))
            .leaves(Where::Decided, c, c.flow(HERE))
            .touched()
    };
    let open = |row: Row| row.given(|b| b.connect(CLIENT, SERVICE));
    vec![
        case("the first again", c.first(CALL)).passes(FirstRepeated).hint(LOCAL_FIRST),
        open(case("the first again, its socket exists", c.first(CALL))).passes(FirstRepeated).hint(LOCAL_FIRST),
        case("data behind an answer", c.later().payload("x")).passes(LaterToLocal),
        case("an acknowledgement", c.later()).passes(LaterToLocal),
        case("FIN behind an answer", c.later().flags(FIN | ACK)).passes(LaterToLocal),
        case("bare ACK before any answer", c.ack()).passes(EarlyToLocal).hint(LOCAL_EARLY),
        case("more of the request", c.ack().sequence(c.isn + 100).payload("x")).passes(EarlyToLocal).hint(LOCAL_EARLY),
        case("reset before any socket", c.ack().flags(RST | ACK)).passes(LaterToLocal),
        case("reset without ACK", c.later().flags(RST)).passes(LaterToLocal),
        case("from another MAC", c.later().macs(super::world::OUR_MAC, [2; 6])).passes(LaterToLocal),
        changed("calls another function", c, "POST /function/other HTTP/1.1\r\n\r\n"),
        changed("calls nothing yet", c, "POST /functi"),
    ]
}

/// A first packet whose checksum is wrong is judged and not delivered; the one that is delivered in its place may be another.
fn changed(name: &str, c: Connection, payload: &str) -> Row {
    row(format!("local: the first again, but it {name}"), c.first(payload))
        .flow(Where::Decided, c, c.flow(HERE))
        .leaves(Where::Decided, c, c.flow(TO_PROXY))
        .passes(FirstChanged)
        .event(ECHO_NUMBER, *CLIENT.ip())
        .hint(PROXY_FIRST)
        .touched()
}

/// Sent to the peer with the pair's token, or with a tag if it is the first again.
fn to_b(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let flow = c.flow(Target::Peer(B));
    let heard = Flow { finished: CLIENT_HEARD, ..flow };
    let case = |name: &str, kind: u8, frame: Frame| {
        let after = if frame.acknowledges(c.cookie) { heard } else { flow };
        let tunnelled = to_peer(B, kind, &frame.packet(), CLIENT, &[]);
        row(format!("to B: {name}"), frame)
            .flow(Where::Forwarded, c, flow)
            .sends(LaterToPeer, tunnelled)
            .leaves(Where::Forwarded, c, after)
            .touched()
    };
    let other = Connection::of(SocketAddrV4::new(*CLIENT.ip(), 50_002), c.isn, SECRET.current, now.0);
    let other = Connection { cookie: other.cookie ^ 1 << 31, ..other };
    let padded = c.later().padded_to(60);
    vec![
        case("the first again", FIRST, c.first(CALL)),
        case("the first again with other data", FIRST, c.first("POST /function/other HTTP/1.1\r\n\r\n")),
        case("bare ACK of the handshake", LATER, c.ack()),
        case("data behind an answer", LATER, c.later().payload("x")),
        case("an acknowledgement", LATER, c.later()),
        case("an acknowledgement with SACK blocks", LATER, c.later().options(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9])),
        case("a full packet", LATER, c.later().payload([0x5a; 1400])),
        case("more of the request", LATER, c.ack().sequence(c.isn + 100).payload("x")),
        case("in a padded frame", LATER, padded)
            .sends(LaterToPeer, to_peer(B, LATER, &c.later().packet(), CLIENT, &[0xdd; 6])),
        case("B is draining", LATER, c.later().payload("x")).peer(B, |p| p.state = DRAINING),
        case("B's grant has lapsed", LATER, c.later().payload("x")).peer(B, |p| p.expires_ns = 1),
        case("B is dead, data behind an answer", LATER, c.later().payload("x")).peer(B, |p| p.state = DEAD),
        case("B is gone, data behind an answer", LATER, c.later().payload("x")).without_peer(B).drops(PeerLost),
        row("to B: a segment of another connection", other.ack().payload("x"))
            .flow(Where::Forwarded, c, flow)
            .passes(dfaas_common::verdict::Verdict::NoCookie),
    ]
}

/// FIN of both sides, or RST of one: the entry moves to where it may be evicted, and is still followed. Whoever cannot see the
/// connection, and guesses a sequence number, moves nothing.
fn ends(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    // The peer has acknowledged what came before the segment.
    let due = c.isn.wrapping_add(200);
    let with = |finished| Flow { finished: finished | CLIENT_HEARD, acknowledged: due, ..c.flow(Target::Peer(B)) };
    let guessed = |name: &str, before: u8, flags: u8, sequence: u32, after: u8| {
        let frame = c.later().flags(flags).sequence(sequence);
        let tunnelled = to_peer(B, LATER, &frame.packet(), CLIENT, &[]);
        row(format!("end: {name}"), frame).flow(Where::Forwarded, c, with(before)).sends(LaterToPeer, tunnelled).leaves(
            Where::Forwarded,
            c,
            with(after),
        )
    };
    let case = |name: &str, before: (Where, u8), flags: u8, after: (Where, u8)| {
        let frame = c.later().flags(flags);
        let tunnelled = to_peer(B, LATER, &frame.packet(), CLIENT, &[]);
        row(format!("end: {name}"), frame).flow(before.0, c, with(before.1)).sends(LaterToPeer, tunnelled).leaves(
            after.0,
            c,
            with(after.1),
        )
    };
    let (live, over) = (Where::Forwarded, Where::Decided);
    vec![
        case("FIN of the client", (live, 0), FIN | ACK, (live, CLIENT_FINISHED)),
        case("FIN of the client again", (live, CLIENT_FINISHED), FIN | ACK, (live, CLIENT_FINISHED)),
        case("FIN of the client behind the peer's", (live, PEER_FINISHED), FIN | ACK, (over, FINISHED)),
        case("reset of the client", (live, 0), RST, (over, FINISHED)),
        case("reset of the client behind its FIN", (live, CLIENT_FINISHED), RST | ACK, (over, FINISHED)),
        case("an acknowledgement behind the client's FIN", (live, CLIENT_FINISHED), ACK, (live, CLIENT_FINISHED)),
        case("an acknowledgement behind both", (over, FINISHED), ACK, (over, FINISHED)),
        case("FIN again behind both", (over, FINISHED), FIN | ACK, (over, FINISHED)),
        case("data behind both", (over, FINISHED), PSH | ACK, (over, FINISHED)),
        case("reset behind both", (over, FINISHED), RST, (over, FINISHED)),
        guessed("reset behind lost packets", 0, RST, due.wrapping_add(1400), CLIENT_FINISHED),
        guessed("a guessed reset", 0, RST | ACK, due.wrapping_sub(1), 0),
        guessed("a guessed reset behind the peer's FIN", PEER_FINISHED, RST, due.wrapping_add(1 << 31), PEER_FINISHED),
        guessed("a guessed FIN behind the peer's", PEER_FINISHED, FIN | ACK, due.wrapping_add(1 << 20), PEER_FINISHED),
    ]
}
