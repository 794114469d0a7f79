//! What is not TCP to the service address, or too odd: up to the stack as it is.

use std::net::{Ipv4Addr, SocketAddrV4};

use dfaas_common::verdict::Verdict::{
    BadIpLength, BadTcpOffset, Fragment, IpOptions, NotSteered, TunnelMalformed, VlanTagged,
};
use dfaas_tests::packet::{Frame, SYN};

use super::{
    peers::{from_peer, peer_tunnel},
    row::{Row, row},
    world::{B, CALL, CLIENT, Connection, NO_FUNCTION, Now, SERVICE, TUNNEL},
};

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [others(now), headers(now), truncated(now)].into_iter().flatten().collect()
}

fn others(now: Now) -> Vec<Row> {
    let first = Connection::new(now).first(CALL);
    let udp = |port: u16| [0x9c, 0x41, (port >> 8) as u8, port as u8, 0, 40, 0, 0].into_iter().chain([7; 32]);
    let udp = |port| udp(port).collect::<Vec<u8>>();
    let elsewhere = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 9), 80);
    let to_tunnel = Frame::tcp(CLIENT, SocketAddrV4::new(TUNNEL, 80));
    vec![
        row("ARP", first.clone().ethertype(0x0806)).passes(NotSteered),
        row("IPv6", first.clone().ethertype(0x86dd).version_ihl(0x60)).passes(NotSteered),
        row("TCP to another address", first.clone().to(elsewhere)).passes(NotSteered),
        row("TCP to another port", first.clone().to(SocketAddrV4::new(*SERVICE.ip(), 443))).passes(NotSteered),
        row("SYN to another port", first.clone().flags(SYN).to(SocketAddrV4::new(*SERVICE.ip(), 22)))
            .passes(NotSteered),
        row("UDP to the service address", first.clone().transport(17, &udp(80))).passes(NotSteered),
        row("UDP to the tunnel's port at the service address", first.clone().transport(17, &udp(6081)))
            .passes(NotSteered),
        row("UDP to another port at the tunnel address", to_tunnel.clone().transport(17, &udp(6082)))
            .passes(NotSteered),
        row("UDP with IPv4 options to the tunnel", to_tunnel.clone().ip_options(&[1; 4]).transport(17, &udp(6081)))
            .passes(NotSteered),
        row("TCP to the tunnel's port at the tunnel address", to_tunnel.to(SocketAddrV4::new(TUNNEL, 6081)))
            .passes(NotSteered),
        row("ICMP to the service address", first.clone().transport(1, &[8; 40])).passes(NotSteered),
        row("IPv6 inside IPv4", first.transport(41, &[6; 40])).passes(NotSteered),
    ]
}

fn headers(now: Now) -> Vec<Row> {
    let first = Connection::new(now).first(CALL);
    let syn = Connection::new(now).syn();
    vec![
        row("VLAN tag", first.clone().tagged(0x8100)).passes(VlanTagged),
        row("SYN with a VLAN tag", syn.clone().tagged(0x8100)).passes(VlanTagged),
        row("two VLAN tags", first.clone().tagged(0x88a8).tagged(0x8100)).passes(VlanTagged),
        row("one IPv4 option", first.clone().ip_options(&[1; 4])).passes(IpOptions),
        row("forty bytes of IPv4 options", first.clone().ip_options(&[1; 40])).passes(IpOptions),
        row("SYN with IPv4 options", syn.clone().ip_options(&[7; 8])).passes(IpOptions),
        row("IPv4 header length below the least", first.clone().version_ihl(0x44)).passes(BadIpLength),
        row("version 6 in an IPv4 frame", first.clone().version_ihl(0x65)).passes(BadIpLength),
        row("version 0", first.clone().version_ihl(0x05)).passes(BadIpLength),
        row("first fragment", first.clone().fragment(0x2000)).passes(Fragment),
        row("middle fragment", first.clone().fragment(0x2010)).passes(Fragment),
        row("last fragment", first.clone().fragment(0x0010)).passes(Fragment),
        row("fragmented SYN", syn.clone().fragment(0x2000)).passes(Fragment),
        row("total length beyond the frame", first.clone().total_len(1000)).passes(BadIpLength),
        row("total length one beyond the frame", syn.clone().total_len(41)).passes(BadIpLength),
        row("total length below the headers", first.clone().total_len(39)).passes(BadIpLength),
        row("total length 0", first.clone().total_len(0)).passes(BadIpLength),
        row("data offset 0", first.clone().data_offset(0)).passes(BadTcpOffset),
        row("data offset below the least", first.clone().data_offset(4)).passes(BadTcpOffset),
        row("data offset beyond the packet", syn.data_offset(6)).passes(BadTcpOffset),
        row("data offset at its most in a short packet", first.payload([7; 39]).data_offset(15)).passes(BadTcpOffset),
    ]
}

/// Cut off at and around every header boundary.
fn truncated(now: Now) -> Vec<Row> {
    let connection = Connection::new(now);
    let first = connection.first(CALL).bytes();
    let tunnelled = from_peer(B, dfaas_common::tunnel::FIRST, &connection.first(CALL));
    let cut = |frame: &[u8], len: usize| frame[..len].to_vec();
    let mut rows = Vec::new();
    for len in [14, 15, 33, 34, 35, 42, 53] {
        rows.push(row(format!("call cut to {len} bytes"), cut(&first, len)).passes(NotSteered));
    }
    for len in [54, 55, first.len() - 1] {
        rows.push(row(format!("call cut to {len} bytes"), cut(&first, len)).passes(BadIpLength));
    }
    for len in [33, 34, 41] {
        rows.push(row(format!("tunnel packet cut to {len} bytes"), cut(&tunnelled, len)).passes(NotSteered));
    }
    for len in [42, 49, 50, 65, 66, 85, 86, 105] {
        let row = row(format!("tunnel packet cut to {len} bytes"), cut(&tunnelled, len));
        // Too short to be looked at: no source is known.
        rows.push(row.drops(TunnelMalformed).event(NO_FUNCTION, Ipv4Addr::UNSPECIFIED));
    }
    for len in [106, 107, tunnelled.len() - 1] {
        let row = row(format!("tunnel packet cut to {len} bytes"), cut(&tunnelled, len));
        let from = peer_tunnel(B);
        rows.push(row.drops(TunnelMalformed).event(NO_FUNCTION, from));
    }
    rows
}
