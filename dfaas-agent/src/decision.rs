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
        // Who is not there any more keeps its place, and is not known for its calls at once.
        let gone = |old: &PeerEndpoint| PeerEndpoint { addresses: Vec::new(), alias: None, ..old.clone() };
        let endpoint = |(node, old): (&NodeId, &PeerEndpoint)| {
            let new = self.peers.get(node).filter(|new| new.proxy == old.proxy);
            (node.clone(), new.cloned().unwrap_or_else(|| gone(old)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::test_names::{function, node};

    fn table(limit: f64, peers: &[u8], timeout_s: u64) -> FunctionTable {
        FunctionTable {
            deployed: true,
            local_limit: Some(limit),
            shape: Shape::LocalFirst,
            weights: Weights { peers: peers.iter().map(|n| (node(*n), 1)).collect(), ..Weights::default() },
            limits_out: BTreeMap::new(),
            limits_in: BTreeMap::new(),
            timeout: Some(Duration::from_secs(timeout_s)),
        }
    }

    fn endpoint(port: u16, alias: u8) -> PeerEndpoint {
        PeerEndpoint {
            host: "10.0.0.1".parse().unwrap(),
            proxy: ([10, 0, 0, 1], port).into(),
            addresses: vec![[10, 0, 0, 1].into()],
            alias: Some([198, 18, 0, alias].into()),
        }
    }

    #[test]
    fn what_needs_no_other_structure_is_taken_from_the_new_decision() {
        let old = Decision {
            version: 4,
            functions: [(function("f"), table(10.0, &[1], 1)), (function("old"), table(5.0, &[1], 1))].into(),
            peers: [(node(1), endpoint(80, 1)), (node(2), endpoint(81, 2)), (node(3), endpoint(82, 3))].into(),
        };
        let new = Decision {
            version: 5,
            functions: [(function("f"), table(2.0, &[4], 9)), (function("new"), table(5.0, &[4], 1))].into(),
            peers: [(node(1), endpoint(80, 9)), (node(2), endpoint(99, 2)), (node(4), endpoint(83, 4))].into(),
        };
        let held = new.within(&old);
        assert_eq!(held.version, 4, "what waits for the new one goes on to wait");
        assert_eq!(held.functions[&function("f")], table(2.0, &[4], 1));
        assert_eq!(held.functions.keys().collect::<Vec<_>>(), old.functions.keys().collect::<Vec<_>>());
        assert_eq!(held.peers[&node(1)].alias, Some([198, 18, 0, 9].into()));
        for n in [2, 3] {
            let gone = PeerEndpoint { addresses: vec![], alias: None, ..old.peers[&node(n)].clone() };
            assert_eq!(held.peers[&node(n)], gone, "it has another address, or is gone");
        }
        assert_eq!(held.peers.len(), 3);
    }
}
