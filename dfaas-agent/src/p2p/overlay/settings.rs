//! What the overlay is told at its start.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::Context;
use libp2p::{Multiaddr, PeerId, identity::Keypair};

use crate::{
    name::NodeId,
    p2p::{
        address::{ip, split_peer},
        dht::DEFAULT_RENDEZVOUS,
        federation::Secret,
        gossip::DEFAULT_TOPIC,
        swarm::{self, Rules},
    },
};

/// How the overlay is set up.
#[derive(Clone, Debug)]
pub struct OverlaySettings {
    pub keypair: Keypair,
    pub listen: Vec<Multiaddr>,
    /// Peers to find the others by; each ends in `/p2p/<id>`.
    pub bootstrap: Vec<Multiaddr>,
    pub topic: String,
    /// Whether to take part in the table of provider records.
    pub dht: bool,
    /// Text that all nodes of a federation are found by.
    pub rendezvous: String,
    /// Between two searches for nodes.
    pub search_pause: Duration,
    /// Whether to find nodes on the local network.
    pub mdns: bool,
    /// Who may take part, and the file that says so; `None`: everybody.
    pub members: Option<(PathBuf, BTreeSet<NodeId>)>,
    /// What all nodes know that may take part, but for those in the list. Then the list keeps nobody out.
    pub secret: Option<Secret>,
    pub max_connections: u32,
    /// Broadcasts per second taken from one author.
    pub message_rate: f64,
    /// Name and version this node gives itself.
    pub agent: String,
}

impl OverlaySettings {
    /// The original's topic and rendezvous; no listen address, no bootstrap peer.
    pub fn new(keypair: Keypair) -> Self {
        Self {
            keypair,
            listen: vec![],
            bootstrap: vec![],
            topic: DEFAULT_TOPIC.into(),
            dht: true,
            rendezvous: DEFAULT_RENDEZVOUS.into(),
            search_pause: Duration::from_mins(1),
            mdns: false,
            members: None,
            secret: None,
            max_connections: swarm::MAX_CONNECTIONS,
            message_rate: 10.0,
            agent: concat!("dfaas-agent/", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// The bootstrap peers with their addresses.
    pub(super) fn bootstrap_peers(&self) -> anyhow::Result<Vec<(PeerId, Multiaddr)>> {
        let split = |address: &Multiaddr| {
            split_peer(address).with_context(|| format!("bootstrap address {address}, expected /p2p/<id> at its end"))
        };
        self.bootstrap.iter().map(split).collect()
    }

    pub(super) fn rules(&self) -> Rules {
        // With a secret everybody may connect, to show it.
        let members_only = self.members.is_some() && self.secret.is_none();
        Rules { max_connections: self.max_connections, members_only }
    }

    /// True if nobody outside this machine can reach the node.
    pub(super) fn only_loopback(&self) -> bool {
        let is_loopback = |address: &Multiaddr| ip(address).is_some_and(|ip| ip.is_loopback());
        !self.listen.is_empty() && self.listen.iter().all(is_loopback)
    }
}
