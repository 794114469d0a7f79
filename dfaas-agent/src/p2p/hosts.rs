//! No single host takes all the places of a node, or all it can greet at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv6Addr},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::{ConnectionClosed, ListenFailure},
        dummy,
    },
};

use super::address::ip;

/// Connections that are being set up, each way.
pub(super) const MAX_CONNECTING: u32 = 64;
/// Incoming ones of one host.
const MAX_GREETED: usize = 8;
/// The same of all hosts that no friend was ever met at; the rest of [`MAX_CONNECTING`] is for friends.
const MAX_STRANGERS_GREETED: usize = MAX_CONNECTING as usize * 3 / 4;
/// Hosts that are remembered.
const MAX_FRIENDLY: usize = 1024;
/// The part of all connections that one host may make: many nodes may be behind one address translation.
const SHARE: usize = 4;

#[derive(Debug)]
pub(super) struct Hosts {
    most: usize,
    welcome: BTreeSet<PeerId>,
    /// Where peers that are vouched for have been met.
    friendly: BTreeSet<IpAddr>,
    greeted: BTreeMap<ConnectionId, IpAddr>,
    made: BTreeMap<ConnectionId, IpAddr>,
}

/// Why a connection is refused.
#[derive(Debug, PartialEq, Eq)]
struct TooMany {
    host: IpAddr,
    most: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} connections from {}", self.most, self.host)
    }
}

impl std::error::Error for TooMany {}

/// Who is at an address, if it is another machine: of IPv6, a network of one.
fn host(address: &Multiaddr) -> Option<IpAddr> {
    let ip = ip(address).filter(|ip| !ip.is_loopback())?;
    Some(match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    })
}

/// One more place for the host.
fn take(
    places: &mut BTreeMap<ConnectionId, IpAddr>,
    id: ConnectionId,
    host: IpAddr,
    most: usize,
) -> Result<(), TooMany> {
    if places.values().filter(|taken| **taken == host).count() >= most {
        return Err(TooMany { host, most });
    }
    places.insert(id, host);
    Ok(())
}

impl Hosts {
    /// Of so many connections in all. Peers that are `welcome` always find a place, once they have said who they are.
    pub(super) fn new(connections: usize, welcome: impl IntoIterator<Item = PeerId>) -> Self {
        Self {
            most: (connections / SHARE).max(SHARE),
            welcome: welcome.into_iter().collect(),
            friendly: BTreeSet::new(),
            greeted: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    /// A peer that is vouched for has been met there.
    pub(super) fn befriend(&mut self, address: IpAddr) {
        if self.friendly.len() < MAX_FRIENDLY {
            self.friendly.insert(address);
        }
    }

    fn greet(&mut self, id: ConnectionId, host: IpAddr) -> Result<(), TooMany> {
        let is_stranger = |host: &IpAddr| !self.friendly.contains(host);
        let strangers = self.greeted.values().filter(|host| is_stranger(host)).count();
        if is_stranger(&host) && strangers >= MAX_STRANGERS_GREETED {
            return Err(TooMany { host, most: 0 });
        }
        take(&mut self.greeted, id, host, MAX_GREETED)
    }

    fn ended(&mut self, id: ConnectionId) {
        self.greeted.remove(&id);
        self.made.remove(&id);
    }
}

impl NetworkBehaviour for Hosts {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match host(remote) {
            Some(host) => self.greet(id, host).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.greeted.remove(&id);
        if let Some(host) = host(remote).filter(|_| !self.welcome.contains(&peer)) {
            take(&mut self.made, id, host, self.most).map_err(ConnectionDenied::new)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.ended(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        format!("{text}/tcp/1").parse().unwrap()
    }

    /// How many of so many that knock are greeted, and how many of those get in.
    fn knock(hosts: &mut Hosts, from: &str, ids: std::ops::Range<usize>) -> (usize, usize) {
        let (remote, local) = (address(from), address("/ip4/192.0.2.1"));
        let (mut greeted, mut made) = (0, 0);
        for id in ids.map(ConnectionId::new_unchecked) {
            if hosts.handle_pending_inbound_connection(id, &local, &remote).is_ok() {
                greeted += 1;
                let peer = PeerId::random();
                made += usize::from(hosts.handle_established_inbound_connection(id, peer, &local, &remote).is_ok());
            }
        }
        (greeted, made)
    }

    #[test]
    fn one_host_gets_its_share_and_others_still_get_in() {
        let mut hosts = Hosts::new(512, []);
        assert_eq!(knock(&mut hosts, "/ip4/198.51.100.1", 0..300), (300, 128));
        assert_eq!(knock(&mut hosts, "/ip4/198.51.100.2", 300..310), (10, 10));
        assert_eq!(knock(&mut hosts, "/ip6/2001:db8::1", 400..528), (128, 128));
        assert_eq!(knock(&mut hosts, "/ip6/2001:db8::ffff:1", 528..540), (12, 0), "one network is one host");
        assert_eq!(knock(&mut hosts, "/ip4/127.0.0.1", 600..900), (300, 300), "this machine is no host");
        (0..3).for_each(|id| hosts.ended(ConnectionId::new_unchecked(id)));
        assert_eq!(knock(&mut hosts, "/ip4/198.51.100.1", 1000..1010), (10, 3));
    }

    #[test]
    fn silent_connections_of_one_host_keep_nobody_else_from_being_greeted() {
        let mut hosts = Hosts::new(512, []);
        let (remote, local) = (address("/ip4/198.51.100.1"), address("/ip4/192.0.2.1"));
        let greet = |hosts: &mut Hosts, id| {
            hosts.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &local, &remote).is_ok()
        };
        assert_eq!((0..300).filter(|id| greet(&mut hosts, *id)).count(), MAX_GREETED);
        assert_eq!(knock(&mut hosts, "/ip4/198.51.100.2", 300..302), (2, 2));
        hosts.ended(ConnectionId::new_unchecked(0));
        assert!(greet(&mut hosts, 400));
    }

    #[test]
    fn who_is_always_welcome_gets_in_though_its_host_has_no_place_left() {
        let friend = PeerId::random();
        let mut hosts = Hosts::new(16, [friend]);
        assert_eq!(knock(&mut hosts, "/ip4/198.51.100.1", 0..9), (9, 4));
        let (id, remote) = (ConnectionId::new_unchecked(9), address("/ip4/198.51.100.1"));
        assert!(hosts.handle_established_inbound_connection(id, friend, &remote, &remote).is_ok());
    }

    /// Silent connections from anywhere, more than can be greeted.
    #[test]
    fn hosts_where_friends_were_met_are_greeted_beside_any_number_of_others() {
        let mut hosts = Hosts::new(512, []);
        hosts.befriend("198.51.100.7".parse().unwrap());
        let local = address("/ip4/192.0.2.1");
        let mut id = 0;
        let mut greet = |from: &str| {
            id += 1;
            hosts.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &local, &address(from)).is_ok()
        };
        let strangers = (0..200).filter(|n| greet(&format!("/ip4/203.0.113.{n}"))).count();
        assert_eq!(strangers, MAX_STRANGERS_GREETED);
        assert!(strangers < MAX_CONNECTING as usize, "there is room for friends");
        assert!(greet("/ip4/198.51.100.7"));
    }
}
