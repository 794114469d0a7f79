//! TC. Test runs carry no hint, so of the way in only packets sent round by mark are seen here (see `live`); and the
//! kernel makes no socket for a packet that is not at TC ingress.

use std::net::{Ipv4Addr, SocketAddrV4};

use dfaas_common::verdict::Verdict::{
    LaterWithSocket, LaterWithoutSocket, OldSocketReplaced, PlaceFailed, PlaceWithoutListener, ReturnFailed, ReturnSent,
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST, Tunnel};

use super::{
    bench::Through,
    peers::{alias, peer, peer_service, peer_tunnel, sealed},
    row::{Out, Row, TC_NEXT, TC_REDIRECT, TC_SHOT, row},
    world::{ALIAS_B, B, CALL, CLIENT, Connection, NO_FUNCTION, Now, SERVICE, TUNNEL},
};

/// What the program puts on packets that it sends round again.
const SENT_ROUND: u32 = 0x4446_0071;
const LATER_SENT_ROUND: u32 = 0x4446_0075;

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [way_in(now), way_out(), not_ours_out()].into_iter().flatten().collect()
}

fn way_in(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let alias = SocketAddrV4::new(ALIAS_B, 80);
    let plain = |name: &str, frame: Frame| row(format!("in: {name}"), frame).through(Through::TcIn(0)).left_alone();
    let round =
        |name: &str, frame: Frame| row(format!("in, sent round: {name}"), frame).through(Through::TcIn(SENT_ROUND));
    let again = |name: &str, frame: Frame| {
        row(format!("in, a later one sent round: {name}"), frame).through(Through::TcIn(LATER_SENT_ROUND))
    };
    let fails = |row: Row| row.tc(PlaceFailed, TC_NEXT, Out::Untouched).event(NO_FUNCTION, Ipv4Addr::UNSPECIFIED);
    vec![
        plain("a call without a hint", c.first(CALL)),
        plain("a call to an alias without a hint", c.first(CALL).to(alias)),
        plain("an acknowledgement", c.later()),
        plain("ARP", c.first(CALL).ethertype(0x0806)),
        row("in: another mark", c.first(CALL)).through(Through::TcIn(SENT_ROUND ^ 1)).left_alone(),
        round("an acknowledgement", c.later()).left_alone(),
        round("a fragment", c.first(CALL).fragment(0x2000)).left_alone(),
        fails(round("a call", c.first(CALL))),
        fails(round("a call to an alias", c.first(CALL).to(alias))),
        round("a call without a listener", c.first(CALL)).without_placed_listener().tc(
            PlaceWithoutListener,
            TC_NEXT,
            Out::Untouched,
        ),
        round("a call to an alias without a listener", c.first(CALL).to(alias)).without_handoff_listener().tc(
            PlaceWithoutListener,
            TC_NEXT,
            Out::Untouched,
        ),
        round("a segment to an alias, no socket", c.later().to(alias)).tc(LaterWithoutSocket, TC_SHOT, Out::Ignored),
        again("a segment of an early client, no socket", c.ack()).tc(LaterWithoutSocket, TC_SHOT, Out::Ignored),
        again("a segment to an alias, no socket", c.later().to(alias)).tc(LaterWithoutSocket, TC_SHOT, Out::Ignored),
        again("a segment of an early client, its socket exists", c.ack()).given(|b| b.connect(CLIENT, SERVICE)).tc(
            LaterWithSocket,
            TC_NEXT,
            Out::Untouched,
        ),
        again("a reset of an early client", c.ack().flags(RST | ACK)).left_alone(),
        round("a reset to an alias", c.later().to(alias).flags(RST)).left_alone(),
        round("an older connection's socket is in the way", c.first(CALL)).given(|b| b.connect(CLIENT, SERVICE)).tc(
            OldSocketReplaced,
            TC_SHOT,
            Out::Untouched,
        ),
    ]
}

/// A segment of B's socket here, as the stack sends it.
fn reply() -> Frame {
    Frame::tcp(SocketAddrV4::new(ALIAS_B, 80), CLIENT)
        .macs([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8])
        .sequence(0x5000_0000)
        .acknowledgement(0x3000_0100)
        .flags(PSH | ACK)
        .payload("HTTP/1.1 200 OK\r\n\r\n")
        .ttl(64)
}

fn way_out() -> Vec<Row> {
    let sent = |name: &str, frame: Frame| {
        let inner = frame.clone().from(peer_service(B)).packet();
        let seal = peer(B).send;
        let tunnel = Tunnel {
            destination_mac: [2, 0, 0, 0, 0, 9],
            source_mac: [2, 0, 0, 0, 0, 8],
            from: TUNNEL,
            to: peer_tunnel(B),
            source_port: 0xc000 | u16::from_ne_bytes(CLIENT.port().to_be_bytes()) & 0x3fff,
            kind: dfaas_common::tunnel::LATER,
            marks: 0,
            epoch: seal.epoch as u16,
            tag: sealed(&seal, dfaas_common::tunnel::LATER, &inner),
        };
        row(format!("out: {name}"), frame).through(Through::TcOut).tc(
            ReturnSent,
            TC_REDIRECT,
            Out::Exactly(tunnel.carry(&inner, &[])),
        )
    };
    vec![
        sent("data", reply()),
        sent("data of odd length", reply().payload("odd")),
        sent("bare ACK", reply().flags(ACK).payload("")),
        sent("FIN", reply().flags(FIN | ACK).payload("")),
        sent("reset", reply().flags(RST).payload("")),
        sent("with forty bytes of TCP options", reply().options(&[1; 40])),
        sent("a full packet", reply().payload([0xcc; 1400])),
        sent("to a peer that is draining", reply()).peer(B, |p| p.state = dfaas_common::peer::DRAINING),
        sent("to a peer whose grant has lapsed", reply()).peer(B, |p| p.expires_ns = 1),
    ]
}

fn not_ours_out() -> Vec<Row> {
    let alone = |name: &str, frame: Frame| row(format!("out: {name}"), frame).through(Through::TcOut).left_alone();
    let failed = |name: &str| {
        row(format!("out: {name}"), reply()).through(Through::TcOut).tc(ReturnFailed, TC_SHOT, Out::Untouched)
    };
    let from = |ip: Ipv4Addr| reply().from(SocketAddrV4::new(ip, 80));
    vec![
        alone("from the service address", reply().from(SERVICE)),
        alone("from just outside the aliases", from(Ipv4Addr::new(100, 64, 64, 0))),
        alone("from an alias nobody has", from(alias(77))),
        alone("UDP from an alias", reply().transport(17, &[9; 40])),
        alone("IPv4 options from an alias", reply().ip_options(&[1; 4])),
        alone("ARP", reply().ethertype(0x0806)),
        alone("IPv6", reply().ethertype(0x86dd)),
        row("out: a short frame", reply().bytes()[..53].to_vec()).through(Through::TcOut).left_alone(),
        failed("the alias has another peer").peer(B, |p| p.alias = dfaas_common::address::AddressV4::UNSPECIFIED),
        failed("no seal for the peer").peer(B, |p| p.send.epoch = 0),
        failed("the peer's entry is gone").without_peer(B),
    ]
}
