//! What our own nodes tell each other directly, beside the broadcasts all nodes understand: one state per
//! request over the authenticated stream, one acknowledgement back.

mod codec;
mod lanes;
mod tunnel_key;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

pub(super) use codec::FrameCodec;
pub(super) use lanes::{Lanes, Outgoing};
pub use tunnel_key::TunnelKey;

use super::{
    message::{Load, MaxValues, ProxyAddress},
    shown,
};
use crate::{
    mode::Mode,
    name::{FunctionName, NodeId},
};

/// A peer that lists it speaks our direct protocol.
pub const PROTOCOL: &str = "/dfaas/node/1.0.0";
pub const VERSION: u32 = 1;
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
pub const MAX_FUNCTIONS: usize = 1024;
/// Peers named in an acknowledgement.
pub const MAX_KNOWN_PEERS: usize = 64;

/// Everything a node tells one peer about itself. Each state replaces the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    pub version: u32,
    /// Grows with every state sent to this peer in this run.
    pub sequence: u64,
    /// When the sender started, UNIX time: tells a restart, after which `sequence` starts again.
    pub started_ms: u64,
    /// How its kernel takes part.
    pub mode: Mode,
    /// Where its clients call it, if its kernel path is on.
    #[serde(default)]
    pub service: Option<SocketAddr>,
    #[serde(default)]
    pub tunnel: Option<IpAddr>,
    /// Where its proxy takes calls that carry `DFaaS-Node-ID`.
    #[serde(default)]
    pub proxy: Option<ProxyAddress>,
    /// To be used by the receiver when it sends to the sender. A node that makes tags of another form must not find it: this
    /// field's name changes with the form, and such nodes hand over by HAProxy.
    #[serde(default)]
    pub tunnel_key: Option<TunnelKey>,
    #[serde(default)]
    pub functions: BTreeMap<FunctionName, FunctionState>,
    /// Of a sender that runs node margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<MarginState>,
    #[serde(default)]
    pub draining: bool,
    #[serde(default)]
    pub leaving: bool,
}

/// One function of the sender; all rates in calls/s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionState {
    /// What the sender accepts from the receiver.
    pub limit: f64,
    /// What the sender's clients call.
    pub rate: f64,
    /// What the sender can serve, if known.
    pub max_rate: Option<f64>,
}

/// What node margin tells: the original's two messages of it in one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MarginState {
    /// 0 heavy, 1 mid, 2 light.
    pub node_type: u8,
    pub thresholds: MaxValues,
    /// Percentage points offered to each common neighbour.
    pub margin: f64,
    pub load: Load,
}

impl MarginState {
    fn numbers(&self) -> [f64; 7] {
        let (t, l) = (&self.thresholds, &self.load);
        [t.cpu_percent, t.ram_bytes, t.power_microwatts, self.margin, l.high, l.low, l.medium]
    }
}

/// Why a state was refused, by its sender before sending or by its receiver.
#[derive(Clone, Debug, PartialEq)]
pub enum StateError {
    Malformed(String),
    Version(u32),
    Rate(FunctionName, f64),
    Margin(f64),
    TooManyFunctions(usize),
    Address(IpAddr),
    TooLong(usize),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "state is not a well-typed JSON object: {why}"),
            Self::Version(found) => write!(f, "state of version {found}, expected {VERSION}"),
            Self::Rate(function, found) => {
                write!(f, "rate {found} of function {function}: expected a finite number, not negative")
            }
            Self::Margin(found) => write!(f, "margin state with {found}, expected finite numbers, not negative"),
            Self::TooManyFunctions(found) => write!(f, "{found} functions, expected at most {MAX_FUNCTIONS}"),
            Self::Address(found) => write!(f, "address {found}, expected the unicast address of a host"),
            Self::TooLong(bytes) => write!(f, "state of {bytes} bytes, expected at most {MAX_FRAME_BYTES}"),
        }
    }
}

impl std::error::Error for StateError {}

impl NodeState {
    pub fn encode(&self) -> Result<Vec<u8>, StateError> {
        self.check()?;
        let bytes = serde_json::to_vec(self).map_err(|error| StateError::Malformed(error.to_string()))?;
        if bytes.len() > MAX_FRAME_BYTES { Err(StateError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(StateError::TooLong(bytes.len()));
        }
        let state: Self =
            serde_json::from_slice(bytes).map_err(|error| StateError::Malformed(shown(&error.to_string())))?;
        state.check()?;
        Ok(state)
    }

    fn check(&self) -> Result<(), StateError> {
        if self.version != VERSION {
            return Err(StateError::Version(self.version));
        }
        if self.functions.len() > MAX_FUNCTIONS {
            return Err(StateError::TooManyFunctions(self.functions.len()));
        }
        for (name, function) in &self.functions {
            for rate in [Some(function.limit), Some(function.rate), function.max_rate].into_iter().flatten() {
                if !rate.is_finite() || rate < 0.0 {
                    return Err(StateError::Rate(name.clone(), rate));
                }
            }
        }
        let numbers = self.margin.iter().flat_map(MarginState::numbers);
        if let Some(wrong) = numbers.into_iter().find(|number| !number.is_finite() || *number < 0.0) {
            return Err(StateError::Margin(wrong));
        }
        let addresses = self.service.map(|service| service.ip()).into_iter().chain(self.tunnel);
        match addresses.into_iter().find(|address| address.is_unspecified() || address.is_multicast()) {
            Some(address) => Err(StateError::Address(address)),
            None => Ok(()),
        }
    }
}

/// The answer to a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ack {
    pub(super) sequence: u64,
    /// Why the state was not taken; it is not worth repeating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
    /// Other nodes, so that all get to know each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) peers: Vec<KnownPeer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownPeer {
    pub(super) node: NodeId,
    pub(super) addresses: Vec<String>,
}

impl Ack {
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|ack: &Self| ack.peers.len() <= MAX_KNOWN_PEERS)
    }
}

#[cfg(test)]
mod tests;
