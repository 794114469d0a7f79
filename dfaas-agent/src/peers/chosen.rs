//! Which of the nodes that speak are used: identities cost nothing, the room in the data planes does.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use dfaas_common::peer::MAX_PEERS;

use super::{
    Peer, Peers, Standing,
    address::{Unproven, What},
};
use crate::name::NodeId;

/// Twice what the kernel's tables hold: HAProxy serves original agents, and peers without a number.
pub(crate) const MAX_USED: usize = 2 * MAX_PEERS;
/// Of nodes that nobody vouches for: some may be behind one address translation.
const PER_ADDRESS: usize = 4;
/// So long a silent peer keeps its place. Whoever changes its name changes the tables no more often.
const HOLD: Duration = Duration::from_secs(30);

/// What a place is given by: the least comes first.
#[allow(clippy::struct_excessive_bools, reason = "each is one reason to come later")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_stranger: bool,
    is_gone: bool,
    is_new: bool,
    /// It has no kernel path.
    is_foreign: bool,
    /// When it was first heard: a newcomer takes nobody's place.
    since: Instant,
}

impl Peers {
    /// Chooses the peers to be used. Those that are `trusted` come before all others, in whatever number from one address.
    /// `functions_known`: false until this node knows what it runs itself, so that a peer of a former agent keeps its place.
    pub(crate) fn choose(&mut self, now: Instant, functions_known: bool, trusted: impl Fn(&NodeId) -> bool) {
        let mut troubles = BTreeMap::new();
        let mut ranked: Vec<(Rank, &NodeId, SocketAddr)> = Vec::new();
        for (node, peer) in &self.nodes {
            let shares = !functions_known || peer.runs_anything();
            let Some(since) = peer.since.filter(|_| shares && peer.standing(now, &self.terms) != Standing::Known)
            else {
                continue;
            };
            match peer.proxy_address(&self.ours) {
                Some(Ok(proxy)) => {
                    let is_new = !self.chosen.contains_key(node);
                    let patience = if is_new { Duration::ZERO } else { HOLD };
                    let rank = Rank {
                        is_stranger: !trusted(node),
                        is_gone: peer.standing(now, &self.terms) == Standing::Silent && peer.age(now) > patience,
                        is_new,
                        is_foreign: peer.handoff().is_none(),
                        since,
                    };
                    ranked.push((rank, node, proxy));
                }
                Some(Err(unproven)) => _ = troubles.insert(node.clone(), unproven),
                // Only heard of: whom a broadcast comes from says nothing about where it is.
                None => {}
            }
        }
        ranked.sort_unstable();
        let mut places = Places::default();
        for (rank, node, proxy) in ranked {
            if places.holders.contains_key(&proxy) {
                troubles.insert(node.clone(), Unproven::anothers(What::Proxy, proxy.ip()));
            } else if places.take(proxy, rank.is_stranger) {
                places.holders.insert(proxy, node.clone());
            }
        }
        self.chosen = places.holders.into_iter().map(|(proxy, node)| (node, proxy)).collect();
        self.troubles = troubles;
    }

    pub(crate) fn is_chosen(&self, node: &NodeId) -> bool {
        self.chosen.contains_key(node)
    }

    /// Those that are used, with the addresses where their proxies take calls.
    pub(crate) fn chosen(&self) -> impl Iterator<Item = (&NodeId, &Peer, SocketAddr)> {
        self.chosen.iter().filter_map(|(node, proxy)| Some((node, self.nodes.get(node)?, *proxy)))
    }

    /// What keeps a peer from being used, or from being handed connections.
    pub(crate) fn trouble(&self, node: &NodeId) -> Option<String> {
        let peer = self.nodes.get(node)?;
        if peer.is_doubled {
            return Some("two nodes have its key: only the later one is heard".to_owned());
        }
        let unproven = self.troubles.get(node).copied();
        let of_handoff = || peer.handoff_addresses(&self.ours)?.err();
        unproven.or_else(of_handoff).map(|unproven| unproven.to_string())
    }
}

/// What is taken.
#[derive(Default)]
struct Places {
    holders: BTreeMap<SocketAddr, NodeId>,
    by_source: BTreeMap<IpAddr, usize>,
}

impl Places {
    fn take(&mut self, proxy: SocketAddr, is_stranger: bool) -> bool {
        let of_source = self.by_source.entry(source(proxy.ip())).or_default();
        let has_room = self.holders.len() < MAX_USED && (!is_stranger || *of_source < PER_ADDRESS);
        *of_source += usize::from(has_room);
        has_room
    }
}

/// An IPv6 network of 64 bits is one place.
fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests;
