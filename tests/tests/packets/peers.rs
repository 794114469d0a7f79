//! The peers: their addresses and seals, and the tunnel packets both sides make.

use std::net::{Ipv4Addr, SocketAddrV4};

use dfaas_common::{
    packet::Be16,
    peer::{Peer, Seal, UP},
    siphash::Key,
    tunnel::{FIRST, LATER, RENEWED, tag},
};
use dfaas_tests::packet::{Frame, Tunnel};

use super::{
    bench::LO,
    world::{OUR_MAC, PREVIOUS_EPOCH, RECEIVE_EPOCH, SEND_EPOCH, TUNNEL},
};

pub(crate) fn peer_tunnel(number: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, number as u8)
}

pub(crate) fn peer_service(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, number as u8), 80)
}

pub(crate) fn alias(number: u32) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, 0, number as u8)
}

pub(crate) fn peer_mac(number: u32) -> [u8; 6] {
    [2, 0, 0, 0, 9, number as u8]
}

fn seal(number: u32, epoch: u32) -> Seal {
    let seed = u64::from(number) << 32 | u64::from(epoch);
    Seal {
        key: Key(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), !seed),
        token: seed.wrapping_mul(0xd134_2543_de82_ef95),
        epoch,
        reserved: 0,
    }
}

pub(crate) fn peer(number: u32) -> Peer {
    Peer {
        send: seal(number, SEND_EPOCH),
        receive: [seal(number, RECEIVE_EPOCH), seal(number, PREVIOUS_EPOCH)],
        expires_ns: u64::MAX,
        tunnel: peer_tunnel(number).into(),
        service: (*peer_service(number).ip()).into(),
        alias: alias(number).into(),
        ifindex: LO,
        mac: peer_mac(number),
        service_port: Be16::new(peer_service(number).port()),
        state: UP,
        reserved2: 0,
    }
}

/// Seals an inner packet (from its IPv4 header on).
pub(crate) fn sealed(seal: &Seal, kind: u8, inner: &[u8]) -> u64 {
    sealed_with(seal, kind, 0, inner)
}

fn sealed_with(seal: &Seal, kind: u8, marks: u8, inner: &[u8]) -> u64 {
    if kind == LATER { seal.token } else { tag(seal.key, kind, marks, seal.epoch as u16, inner) }
}

/// The outer headers that a peer puts on a packet to us.
pub(crate) fn tunnel_from(number: u32, kind: u8, inner: &[u8]) -> Tunnel {
    let seal = &peer(number).receive[0];
    Tunnel {
        destination_mac: OUR_MAC,
        source_mac: peer_mac(number),
        from: peer_tunnel(number),
        to: TUNNEL,
        source_port: 0xd00d,
        kind,
        marks: 0,
        epoch: seal.epoch as u16,
        tag: sealed(seal, kind, inner),
    }
}

/// A good tunnel packet of a peer.
pub(crate) fn from_peer(number: u32, kind: u8, inner: &Frame) -> Vec<u8> {
    let inner = inner.packet();
    tunnel_from(number, kind, &inner).carry(&inner, &[])
}

/// The same, of a client port that had another connection before.
pub(crate) fn from_peer_renewed(number: u32, inner: &Frame) -> Vec<u8> {
    let inner = inner.packet();
    let tag = sealed_with(&peer(number).receive[0], FIRST, RENEWED, &inner);
    Tunnel { marks: RENEWED, tag, ..tunnel_from(number, FIRST, &inner) }.carry(&inner, &[])
}

/// What we must send to a peer of a client port that had another connection before.
pub(crate) fn to_peer_renewed(number: u32, inner: &[u8], client: SocketAddrV4) -> Vec<u8> {
    let tag = sealed_with(&peer(number).send, FIRST, RENEWED, inner);
    Tunnel { marks: RENEWED, tag, ..tunnel_to(number, FIRST, inner, client) }.carry(inner, &[])
}

/// What we must send to a peer; the outer source port spreads connections by the client's port.
pub(crate) fn to_peer(number: u32, kind: u8, inner: &[u8], client: SocketAddrV4, padding: &[u8]) -> Vec<u8> {
    tunnel_to(number, kind, inner, client).carry(inner, padding)
}

fn tunnel_to(number: u32, kind: u8, inner: &[u8], client: SocketAddrV4) -> Tunnel {
    let seal = &peer(number).send;
    let spread = u16::from_ne_bytes(client.port().to_be_bytes());
    Tunnel {
        destination_mac: peer_mac(number),
        source_mac: OUR_MAC,
        from: TUNNEL,
        to: peer_tunnel(number),
        source_port: 0xc000 | spread & 0x3fff,
        kind,
        marks: 0,
        epoch: seal.epoch as u16,
        tag: sealed(seal, kind, inner),
    }
}
