//! Which of the nodes that speak are used: identities cost nothing, the room in the data planes does.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use dfaas_common::peer::MAX_PEERS;

use super::{Peer, Peers, Standing};
use crate::name::NodeId;

/// Twice what the kernel's tables hold: HAProxy serves original agents, and peers without a number.
pub(crate) const MAX_USED: usize = 2 * MAX_PEERS;
/// Of nodes that nobody vouches for: some may be behind one address translation.
const PER_ADDRESS: usize = 4;
/// So long a silent peer keeps its place. Whoever changes its name changes the tables no more often.
const HOLD: Duration = Duration::from_secs(30);

/// What a place is given by: the least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_stranger: bool,
    is_gone: bool,
    /// It has no kernel path.
    is_foreign: bool,
    /// When it was first heard: a newcomer takes nobody's place.
    since: Instant,
}

impl Peers {
    /// Chooses the peers to be used. Those that are `trusted` come before all others, in whatever number from one address.
    /// `functions_known`: false until this node knows what it runs itself, so that a peer of a former agent keeps its place.
    pub(crate) fn choose(&mut self, now: Instant, functions_known: bool, trusted: impl Fn(&NodeId) -> bool) {
        let mut ranked: Vec<(Rank, &NodeId, Option<IpAddr>)> = Vec::new();
        for (node, peer) in &self.nodes {
            let shares = !functions_known || peer.runs_anything();
            if let Some(since) = peer.since.filter(|_| shares && self.is_usable(peer, now)) {
                let rank = Rank {
                    is_stranger: !trusted(node),
                    is_gone: peer.age(now) > HOLD && peer.standing(now, &self.terms) == Standing::Silent,
                    is_foreign: peer.handoff().is_none(),
                    since,
                };
                ranked.push((rank, node, source(peer)));
            }
        }
        ranked.sort_unstable();
        let mut places: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let mut chosen = BTreeSet::new();
        for (rank, node, source) in ranked {
            let taken = source.map(|source| places.entry(source).or_default());
            if chosen.len() == MAX_USED || (rank.is_stranger && taken.as_ref().is_some_and(|n| **n >= PER_ADDRESS)) {
                continue;
            }
            taken.into_iter().for_each(|taken| *taken += 1);
            chosen.insert(node.clone());
        }
        self.chosen = chosen;
    }

    fn is_usable(&self, peer: &Peer, now: Instant) -> bool {
        peer.standing(now, &self.terms) != Standing::Known && peer.proxy.is_some()
    }

    pub(crate) fn is_chosen(&self, node: &NodeId) -> bool {
        self.chosen.contains(node)
    }
}

/// Where it speaks from; an IPv6 network of 64 bits is one place.
fn source(peer: &Peer) -> Option<IpAddr> {
    let announced = || peer.proxy.as_ref().and_then(|(host, _)| host.as_str().parse().ok());
    Some(match peer.remotes.first().copied().or_else(announced)? {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    })
}

#[cfg(test)]
mod tests;
