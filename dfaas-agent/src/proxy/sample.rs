//! What the proxy has counted, for the rest of the agent.

use std::collections::BTreeMap;

use crate::name::{FunctionName, NodeId};

/// Calls since the agent first saw the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub functions: BTreeMap<FunctionName, FunctionSample>,
    /// Refused with 403: path not allowed, or a sender that is not who it says.
    pub forbidden: u64,
    /// Refused with 404: no such function.
    pub unknown: u64,
    /// Stage of a load test, if clients tell one and it is asked for.
    pub stage: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionSample {
    /// First requests of connections the kernel placed here, as far as they were executed here; the kernel has counted
    /// them too.
    pub placed_first: u64,
    /// Later requests on such connections.
    pub placed_kept: u64,
    /// Client calls that came to the service address.
    pub service: u64,
    /// Calls of clients and peers that this node executed.
    pub served_local: u64,
    /// Client calls answered with 429, or 503 while the gateway is down.
    pub refused: u64,
    pub from_peers: BTreeMap<NodeId, PeerSample>,
    /// Client calls that each peer answered.
    pub forwarded: BTreeMap<NodeId, u64>,
    /// Of `served_local` and of `forwarded`: those answered with 2xx.
    pub served_well: u64,
    pub forwarded_well: BTreeMap<NodeId, u64>,
    /// Of the running worker: what the gateway here, and each peer's proxy, made of the calls they were given.
    pub answers_here: Answers,
    pub answers: BTreeMap<NodeId, Answers>,
    /// Calls executed here in the last second.
    pub local_rate: u32,
    /// Mean time to the first byte of an answer over the last 1024 calls; none without calls.
    pub local_response_ms: Option<u32>,
    pub forward_response_ms: BTreeMap<NodeId, u32>,
}

/// What a peer sent for one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSample {
    /// Calls with `DFaaS-Node-ID`.
    pub forwarded: u64,
    /// Requests on connections its kernel handed to ours.
    pub handed_off: u64,
    /// Answered with 429 (above the grant, or not deployed here), or 503 while the gateway is down.
    pub refused: u64,
}

/// Calls that a server was given since the worker started, and those it failed: 5xx, no answer in time, no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub calls: u64,
    pub failed: u64,
}
