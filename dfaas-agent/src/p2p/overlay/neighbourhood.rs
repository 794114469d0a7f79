//! Nodes seen on the local network.

use std::{collections::BTreeMap, time::Instant};

use libp2p::{Multiaddr, PeerId};

use super::Overlay;
use crate::p2p::{
    address::{dialable, split_peer},
    counters::Count,
    dial::Source,
    mdns::Sighting,
};

impl Overlay {
    pub(super) fn on_sighting(&mut self, sighting: Sighting) {
        let mut seen: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for address in sighting.addresses {
            if let Some((peer, bare)) = split_peer(&address)
                && let Some(bare) = dialable(&bare, peer, sighting.source)
            {
                seen.entry(peer).or_default().push(bare);
            }
        }
        for (peer, addresses) in seen {
            if !self.peers.contains_key(&peer)
                && self.dial.learn_hearsay(peer, addresses, Source::Multicast, Instant::now())
            {
                tracing::debug!(%peer, source = %sighting.source, "saw a node on the local network");
                self.counters.add(Count::NodeSeen);
            }
        }
    }
}
