//! What a tunnel packet must prove before anything else is done with it.

use std::net::{Ipv4Addr, SocketAddrV4};

use dfaas_common::{
    tunnel::{BOUNCE, FIRST, LATER},
    verdict::Verdict::{
        self, HandoffAccepted, LaterFromPeer, TunnelMalformed, TunnelMartian, TunnelStranger, TunnelWrongEpoch,
        TunnelWrongService, TunnelWrongTag,
    },
};
use dfaas_tests::packet::{Frame, GENEVE_AT, INNER_AT, IP_AT, Tunnel, UDP_AT, patched};

use super::{
    handoff::{call, handed, later, taken},
    peers::{alias, from_peer, peer, peer_service, peer_tunnel, sealed, tunnel_from},
    row::{Row, peer_later, row},
    world::{B, C, NO_FUNCTION, Now, SERVICE, TUNNEL},
};

pub(crate) fn rows(_: Now) -> Vec<Row> {
    [strangers(), malformed(), unimportant(), proofs(), addresses()].into_iter().flatten().collect()
}

fn refused(name: &str, frame: Vec<u8>, verdict: Verdict) -> Row {
    from(name, frame, verdict, peer_tunnel(B))
}

fn from(name: &str, frame: Vec<u8>, verdict: Verdict, source: Ipv4Addr) -> Row {
    row(name, frame).drops(verdict).event(NO_FUNCTION, source)
}

fn with(inner: &Frame, kind: u8, change: impl Fn(&mut Tunnel)) -> Vec<u8> {
    let inner = inner.packet();
    let mut tunnel = tunnel_from(B, kind, &inner);
    change(&mut tunnel);
    tunnel.carry(&inner, &[])
}

fn strangers() -> Vec<Row> {
    let unknown = Ipv4Addr::new(10, 9, 0, 77);
    let service = *peer_service(B).ip();
    let inner = call();
    vec![
        from("stranger: unknown address", with(&inner, FIRST, |t| t.from = unknown), TunnelStranger, unknown),
        from("stranger: a peer's service address", with(&inner, FIRST, |t| t.from = service), TunnelStranger, service),
        from("stranger: a peer's alias", with(&inner, FIRST, |t| t.from = alias(B)), TunnelStranger, alias(B)),
        from("stranger: ourselves", with(&inner, FIRST, |t| t.from = TUNNEL), TunnelStranger, TUNNEL),
        refused("stranger: address known, entry gone", from_peer(B, FIRST, &inner), TunnelStranger).without_peer(B),
        refused("stranger: LATER, entry gone", from_peer(B, LATER, &later()), TunnelStranger).without_peer(B),
    ]
}

fn malformed() -> Vec<Row> {
    let good = from_peer(B, FIRST, &call());
    let outer = [
        ("Geneve version 1", GENEVE_AT, &[0x44][..]),
        ("no Geneve options", GENEVE_AT, &[0]),
        ("five words of Geneve options", GENEVE_AT, &[5]),
        ("Ethernet inside", GENEVE_AT + 2, &[0x65, 0x58]),
        ("IPv6 inside", GENEVE_AT + 2, &[0x86, 0xdd]),
        ("another option class", GENEVE_AT + 8, &[1, 2]),
        ("another option type", GENEVE_AT + 10, &[2]),
        ("another option type, marked critical", GENEVE_AT + 10, &[0x81]),
        ("another option length", GENEVE_AT + 11, &[2]),
        ("kind 0", GENEVE_AT + 12, &[0]),
        ("kind 4", GENEVE_AT + 12, &[4]),
        ("kind 255", GENEVE_AT + 12, &[255]),
        ("inner version 6", INNER_AT, &[0x65]),
        ("inner IPv4 options", INNER_AT, &[0x46]),
        ("inner IPv4 header too short", INNER_AT, &[0x44]),
        ("inner total length beyond the frame", INNER_AT + 2, &[0x40, 0]),
        ("inner total length below the headers", INNER_AT + 2, &[0, 39]),
        ("inner total length 0", INNER_AT + 2, &[0, 0]),
        ("inner first fragment", INNER_AT + 6, &[0x20, 0]),
        ("inner last fragment", INNER_AT + 6, &[0, 9]),
        ("inner UDP", INNER_AT + 9, &[17]),
        ("inner ICMP", INNER_AT + 9, &[1]),
        ("inner data offset too small", INNER_AT + 32, &[0x40]),
        ("inner data offset beyond the packet", INNER_AT + 32, &[0xf0]),
    ];
    let mut rows: Vec<_> = outer
        .into_iter()
        .map(|(name, at, bytes)| {
            // Short enough for a data offset of fifteen words to lie beyond.
            let good = if name.contains("beyond the packet") {
                from_peer(B, FIRST, &call().payload("x"))
            } else {
                good.clone()
            };
            refused(&format!("malformed: {name}"), patched(good, at, bytes), TunnelMalformed)
        })
        .collect();
    // The rest of it never comes here: fragments without a UDP header go to the stack.
    let cut = patched(good[..good.len() - 24].to_vec(), IP_AT + 6, &[0x20, 0]);
    rows.push(refused("malformed: outer first fragment", cut, TunnelMalformed));
    rows
}

/// What may differ without harm.
fn unimportant() -> Vec<Row> {
    let frame = from_peer(B, LATER, &later());
    let passes =
        |name: &str, frame: Vec<u8>| row(name, frame).passes_as(LaterFromPeer, &taken(&later())).hint(peer_later(B));
    vec![
        passes("accepted: another outer source port", patched(frame.clone(), UDP_AT, &[1, 2])),
        passes("accepted: a UDP checksum, which nobody looks at", patched(frame.clone(), UDP_AT + 6, &[1, 2])),
        passes("accepted: a network identifier", patched(frame.clone(), GENEVE_AT + 4, &[1, 2, 3])),
        passes("accepted: LATER with an outer TTL of 1", patched(frame, IP_AT + 8, &[1])),
    ]
}

fn proofs() -> Vec<Row> {
    let inner = call();
    let previous = |kind: u8, inner: &Frame| {
        let seal = peer(B).receive[1];
        let packet = inner.packet();
        with(inner, kind, |t| (t.epoch, t.tag) = (seal.epoch as u16, sealed(&seal, kind, &packet)))
    };
    let of_c = tunnel_from(C, FIRST, &inner.packet()).tag;
    let token = peer(B).receive[0].token;
    let tag = tunnel_from(B, FIRST, &inner.packet()).tag;
    let mut rows = vec![
        refused("proof: epoch 0", with(&inner, FIRST, |t| t.epoch = 0), TunnelWrongEpoch),
        refused("proof: epoch 0 when a seal is unset", with(&inner, FIRST, |t| t.epoch = 0), TunnelWrongEpoch)
            .peer(B, |p| p.receive[1].epoch = 0),
        refused("proof: the next epoch", with(&inner, FIRST, |t| t.epoch += 1), TunnelWrongEpoch),
        refused("proof: the epoch before the previous", with(&inner, FIRST, |t| t.epoch -= 2), TunnelWrongEpoch),
        refused("proof: LATER in an unknown epoch", with(&later(), LATER, |t| t.epoch = 99), TunnelWrongEpoch),
        refused(
            "proof: the previous epoch's number, this one's tag",
            with(&inner, FIRST, |t| t.epoch -= 1),
            TunnelWrongTag,
        ),
        handed(row("proof: FIRST of the previous epoch", previous(FIRST, &inner))),
        row("proof: LATER of the previous epoch", previous(LATER, &later()))
            .passes_as(LaterFromPeer, &taken(&later()))
            .hint(peer_later(B)),
        refused("proof: a bit of the tag", with(&inner, FIRST, |t| t.tag ^= 1), TunnelWrongTag),
        refused("proof: the tag's other end", with(&inner, FIRST, |t| t.tag ^= 1 << 63), TunnelWrongTag),
        refused("proof: a mark that the tag does not cover", with(&inner, FIRST, |t| t.marks = 1), TunnelWrongTag),
        refused("proof: no tag", with(&inner, FIRST, |t| t.tag = 0), TunnelWrongTag),
        refused("proof: another peer's tag", with(&inner, FIRST, move |t| t.tag = of_c), TunnelWrongTag),
        refused("proof: FIRST with the token", with(&inner, FIRST, move |t| t.tag = token), TunnelWrongTag),
        refused("proof: LATER with a FIRST's tag", with(&inner, LATER, move |t| t.tag = tag), TunnelWrongTag),
        refused("proof: BOUNCE with a FIRST's tag", with(&inner, BOUNCE, move |t| t.tag = tag), TunnelWrongTag),
        refused("proof: BOUNCE with the token", with(&inner, BOUNCE, move |t| t.tag = token), TunnelWrongTag),
        refused("proof: a bit of the token", with(&later(), LATER, |t| t.tag ^= 1 << 40), TunnelWrongTag),
        refused(
            "proof: what we send with, turned round",
            with(&inner, FIRST, |t| {
                let seal = peer(B).send;
                (t.epoch, t.tag) = (seal.epoch as u16, sealed(&seal, FIRST, &call().packet()));
            }),
            TunnelWrongEpoch,
        ),
    ];
    rows.extend(covered());
    rows
}

/// The tag covers all that the receiver acts on.
fn covered() -> Vec<Row> {
    let inner = call();
    let at = |name: &str, at: usize| {
        let frame = from_peer(B, FIRST, &inner);
        let byte = frame[INNER_AT + at] ^ 1;
        refused(&format!("proof: another {name}"), patched(frame, INNER_AT + at, &[byte]), TunnelWrongTag)
    };
    [
        ("inner source", 15),
        ("inner destination", 19),
        ("inner source port", 21),
        ("inner destination port", 23),
        ("sequence number", 27),
        ("acknowledgement number", 31),
        ("time to live", 8),
        ("flag", 33),
        ("window", 35),
        ("checksum", 36),
        ("byte of the request's head", 41),
        ("last byte", inner.packet().len() - 1),
    ]
    .map(|(name, offset)| at(name, offset))
    .into()
}

fn addresses() -> Vec<Row> {
    let sealed = |frame: &Frame, kind| from_peer(B, kind, frame);
    let to = |address: SocketAddrV4| call().to(address);
    let source = |ip: Ipv4Addr| call().from(SocketAddrV4::new(ip, 40001));
    let mut rows = vec![
        refused("inner destination: ours", sealed(&to(SERVICE), FIRST), TunnelWrongService),
        refused("inner destination: another peer's", sealed(&to(peer_service(C)), FIRST), TunnelWrongService),
        refused(
            "inner destination: the alias",
            sealed(&to(SocketAddrV4::new(alias(B), 80)), FIRST),
            TunnelWrongService,
        ),
        refused(
            "inner destination: another port",
            sealed(&to(SocketAddrV4::new(*peer_service(B).ip(), 8080)), FIRST),
            TunnelWrongService,
        ),
        refused("inner destination: LATER to ours", sealed(&later().to(SERVICE), LATER), TunnelWrongService),
    ];
    for (name, ip) in [
        ("this network", Ipv4Addr::new(0, 0, 0, 1)),
        ("loopback", Ipv4Addr::LOCALHOST),
        ("link-local", Ipv4Addr::new(169, 254, 64, 9)),
        ("multicast", Ipv4Addr::new(224, 0, 0, 1)),
        ("reserved", Ipv4Addr::new(240, 0, 0, 1)),
        ("broadcast", Ipv4Addr::BROADCAST),
        ("our tunnel address", TUNNEL),
        ("our service address, another port", *SERVICE.ip()),
        ("the sender's alias", alias(B)),
        ("an alias nobody has", Ipv4Addr::new(100, 64, 63, 255)),
    ] {
        let case = |kind, frame: Frame| sealed(&frame, kind);
        rows.push(refused(&format!("inner source: {name}"), case(FIRST, source(ip)), TunnelMartian));
    }
    let outside = call().from(SocketAddrV4::new(Ipv4Addr::new(100, 64, 64, 0), 40001));
    rows.push(
        handed(row("inner source: just outside the aliases", sealed(&outside, FIRST)))
            .passes_as(HandoffAccepted, &taken(&outside)),
    );
    rows.push(refused(
        "inner source: loopback, LATER",
        sealed(&later().from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 40001)), LATER),
        TunnelMartian,
    ));
    rows
}
