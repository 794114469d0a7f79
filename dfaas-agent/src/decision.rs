//! What a strategy returns and both data planes obey: one value for all functions.
//!
//! All rates are calls per second. A decision is complete: what it does not name does not exist.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Serialize;

use crate::name::{FunctionName, Host, NodeId};

/// A limit that limits nothing: more calls per second than a node can take. Finite, so that it survives JSON.
pub const UNLIMITED: f64 = 1e9;

/// Routing of every function known to this node, and the peers it may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Decision {
    /// Grows by one with every decision that differs from the one before.
    pub version: u32,
    pub functions: BTreeMap<FunctionName, FunctionTable>,
    pub peers: BTreeMap<NodeId, PeerEndpoint>,
}

impl Decision {
    /// These limits and weights, for the functions and peers of `structure`: what can be obeyed without another structure.
    #[must_use]
    pub fn within(&self, structure: &Self) -> Self {
        let table = |(name, old): (&FunctionName, &FunctionTable)| {
            let new = self.functions.get(name).unwrap_or(old);
            (name.clone(), FunctionTable { timeout: old.timeout, ..new.clone() })
        };
        let endpoint = |(node, old): (&NodeId, &PeerEndpoint)| {
            let is_there = |new: &&PeerEndpoint| new.proxy == old.proxy;
            (node.clone(), self.peers.get(node).filter(is_there).unwrap_or(old).clone())
        };
        Self {
            version: structure.version,
            functions: structure.functions.iter().map(table).collect(),
            peers: structure.peers.iter().map(endpoint).collect(),
        }
    }
}

/// Where calls of one function go.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionTable {
    /// True if this node runs the function.
    pub deployed: bool,
    /// What this node may serve; `None`: no limit.
    pub local_limit: Option<f64>,
    pub shape: Shape,
    pub weights: Weights,
    /// What each peer accepts from us.
    pub limits_out: BTreeMap<NodeId, f64>,
    /// What we accept from each peer; absent: nothing.
    pub limits_in: BTreeMap<NodeId, f64>,
    /// Label `dfaas.timeout_ms`.
    pub timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Local up to the limit, the excess by weights over the peers (recalc).
    LocalFirst,
    /// By weights over this node, the peers and refusal (all other strategies).
    Weighted,
}

/// Shares, relative to their sum. Under [`Shape::LocalFirst`] `local` is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Weights {
    pub local: u32,
    pub reject: u32,
    pub peers: BTreeMap<NodeId, u32>,
}

/// A peer as the data planes need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerEndpoint {
    /// As it calls itself.
    pub host: Host,
    /// Where its HAProxy takes calls that carry `DFaaS-Node-ID`.
    pub proxy: SocketAddr,
    /// Source addresses its calls may come from.
    pub addresses: Vec<IpAddr>,
    /// Address on `lo` that stands for the peer's service address on connections handed off by it; `None` if
    /// the peer does not speak our tunnel.
    pub alias: Option<IpAddr>,
}
