//! Multiaddresses: which of those that others tell us we are willing to dial.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// Addresses kept per peer.
pub(super) const MAX_ADDRESSES: usize = 8;

/// The IP address a multiaddress starts with.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// The IP address and TCP port an address starts with.
pub(super) fn tcp(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    Some((ip(address)?, tcp_port(address)?))
}

fn tcp_port(address: &Multiaddr) -> Option<u16> {
    match address.iter().nth(1)? {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    }
}

/// The peer at the end of an address, and the address without it.
pub(super) fn split_peer(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut address = address.clone();
    match address.pop()? {
        Protocol::P2p(peer) if !address.is_empty() => Some((peer, address)),
        _ => None,
    }
}

/// An address of `peer` we were told of by somebody at `source`, if it may be dialled.
///
/// Loopback, link-local and private addresses mean another host to everybody else: they count only if the source is
/// such itself. Else a peer could make us knock at our own local services, and at those of our network.
pub(super) fn dialable(address: &Multiaddr, peer: PeerId, source: IpAddr) -> Option<Multiaddr> {
    let bare = match split_peer(address) {
        Some((named, bare)) if named == peer => bare,
        Some(_) => return None,
        None => address.clone(),
    };
    let (ip, port) = tcp(&bare)?;
    (bare.iter().count() == 2 && port != 0 && reachable(ip, source)).then_some(bare)
}

/// Where a peer we are connected to may be dialled, most certain first.
pub(super) fn candidates(
    dialled: Option<&Multiaddr>,
    announced: &[Multiaddr],
    peer: PeerId,
    remote: IpAddr,
) -> Vec<Multiaddr> {
    let mut found: Vec<Multiaddr> = dialled.cloned().into_iter().collect();
    // Behind address translation only the address we see is good, with the port it listens on.
    let seen = announced.iter().filter_map(tcp_port).map(|port| Multiaddr::from(remote).with(Protocol::Tcp(port)));
    for address in announced.iter().cloned().chain(seen).filter_map(|address| dialable(&address, peer, remote)) {
        if found.len() == MAX_ADDRESSES {
            break;
        }
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn reachable(ip: IpAddr, source: IpAddr) -> bool {
    let unusable = match ip {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        // A link-local IPv6 address says nothing without its interface.
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local(),
    };
    !unusable
        && (!ip.is_loopback() || source.is_loopback())
        && (!link_local(ip) || link_local(source))
        // Who reaches us from within our network, or this machine, may speak of our network.
        && (!private(ip) || private(source) || source.is_loopback())
}

fn link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// RFC 1918, RFC 6598, RFC 4193; link-local ones too: a peer on our link is on our network.
fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_link_local() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn texts(addresses: &[Multiaddr]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_plain_tcp_addresses_of_the_named_peer_are_dialled() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let source = "10.0.0.1".parse().unwrap();
        let bare = parse("/ip4/10.0.0.2/tcp/31600");
        assert_eq!(dialable(&bare, peer, source), Some(bare.clone()));
        assert_eq!(dialable(&bare.clone().with(Protocol::P2p(peer)), peer, source), Some(bare.clone()));
        assert_eq!(dialable(&bare.clone().with(Protocol::P2p(other)), peer, source), None);
        for text in [
            "/ip4/10.0.0.2/tcp/0",
            "/ip4/10.0.0.2/udp/31600",
            "/ip4/10.0.0.2/tcp/31600/ws",
            "/dns4/example.org/tcp/31600",
            "/ip4/0.0.0.0/tcp/31600",
            "/ip4/224.0.0.1/tcp/31600",
            "/ip4/255.255.255.255/tcp/31600",
            "/ip4/169.254.64.1/tcp/31600",
            "/ip6/fe80::1/tcp/31600",
            "/ip6/::/tcp/31600",
            "/ip4/127.0.0.1/tcp/31600",
            "/ip6/::1/tcp/31600",
            "/ip6/::ffff:127.0.0.1/tcp/31600",
            "/tcp/31600",
            "/memory/1",
        ] {
            assert_eq!(dialable(&parse(text), peer, source), None, "{text}");
        }
        assert_eq!(dialable(&Multiaddr::empty(), peer, source), None);
    }

    #[test]
    fn a_loopback_address_counts_only_from_a_loopback_source() {
        let peer = PeerId::random();
        let address = parse("/ip4/127.0.0.1/tcp/31600");
        assert!(dialable(&address, peer, "127.0.0.3".parse().unwrap()).is_some());
        assert!(dialable(&address, peer, "::1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_private_address_counts_only_from_a_private_source() {
        let peer = PeerId::random();
        for private in ["/ip4/192.168.1.1", "/ip4/10.0.0.2", "/ip4/172.16.0.2", "/ip4/100.64.0.2", "/ip6/fd00::1"] {
            let address = parse(&format!("{private}/tcp/31600"));
            for (source, counts) in [
                ("198.51.100.7", false),
                ("2001:db8::1", false),
                ("192.168.9.9", true),
                ("fd00::2", true),
                ("::1", true),
            ] {
                assert_eq!(
                    dialable(&address, peer, source.parse().unwrap()).is_some(),
                    counts,
                    "{private} by {source}"
                );
            }
        }
        assert!(dialable(&parse("/ip4/198.51.100.8/tcp/1"), peer, "192.168.9.9".parse().unwrap()).is_some());
    }

    #[test]
    fn candidates_start_with_what_worked_and_are_bounded() {
        let peer = PeerId::random();
        let dialled = parse("/ip4/10.0.0.2/tcp/4000");
        let announced = [parse("/ip4/127.0.0.1/tcp/31600"), parse("/ip4/192.168.0.2/tcp/31600")];
        let found = candidates(Some(&dialled), &announced, peer, "10.0.0.2".parse().unwrap());
        assert_eq!(texts(&found), ["/ip4/10.0.0.2/tcp/4000", "/ip4/192.168.0.2/tcp/31600", "/ip4/10.0.0.2/tcp/31600"]);
        let many: Vec<_> = (1..100).map(|port| parse(&format!("/ip4/10.0.0.2/tcp/{port}"))).collect();
        assert_eq!(candidates(None, &many, peer, "10.0.0.2".parse().unwrap()).len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_peer_is_split_off_only_where_there_is_an_address_before_it() {
        let peer = PeerId::random();
        let bare = parse("/ip4/10.0.0.2/tcp/1");
        assert_eq!(split_peer(&bare.clone().with(Protocol::P2p(peer))), Some((peer, bare.clone())));
        assert_eq!(split_peer(&bare), None);
        assert_eq!(split_peer(&Multiaddr::empty().with(Protocol::P2p(peer))), None);
    }
}
