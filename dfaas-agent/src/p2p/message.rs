//! The broadcasts of the original agents: one JSON object per message, told apart by `MsgType`.
//!
//! Encoding gives the bytes a Go agent would; decoding accepts what a Go agent would, except values that
//! mean nothing (no host, port 0, a negative rate).

mod decode;
mod encode;
mod raw;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

pub use decode::{BadMessage, Decoded};
pub use encode::EncodeError;
use serde::{Deserialize, Serialize};

use crate::{
    forecast::NodeType,
    name::{FunctionName, Host, NodeId},
};

/// Bound of a whole message, as in the original; its frame takes some of it.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Bound of the JSON text.
pub const MAX_TEXT_BYTES: usize = MAX_MESSAGE_BYTES - 1024;
pub const MAX_PEERS: usize = 1024;
pub const MAX_FUNCTIONS: usize = 1024;

/// A broadcast. The sender is not in it: it is the signed author of the gossip message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Recalc(RecalcInfo),
    NodeMargin(NodeMarginInfo),
    Margin(MarginInfo),
    Static(StaticInfo),
    Text(String),
    /// A `MsgType` this node does not know (cut to 64 characters). Received only.
    Unknown(String),
}

impl Message {
    /// The `MsgType` on the wire, if this node knows it.
    pub fn known_kind(&self) -> Option<&'static str> {
        match self {
            Self::Recalc(_) => Some(kind::RECALC),
            Self::NodeMargin(_) => Some(kind::NODE_MARGIN),
            Self::Margin(_) => Some(kind::MARGIN),
            Self::Static(_) => Some(kind::STATIC),
            Self::Text(_) => Some(kind::TEXT),
            Self::Unknown(_) => None,
        }
    }

    /// Forgets the functions that are not to be kept: names of others would be most of what a node remembers.
    pub fn retain_functions(&mut self, keep: impl Fn(&FunctionName) -> bool) {
        match self {
            Self::Recalc(info) => info.limits.values_mut().for_each(|limits| limits.retain(|name, _| keep(name))),
            Self::NodeMargin(info) => info.functions.retain(keep),
            Self::Static(info) => info.functions.retain(keep),
            Self::Margin(_) | Self::Text(_) | Self::Unknown(_) => {}
        }
    }

    /// The `MsgType` on the wire.
    pub fn kind(&self) -> &str {
        match self {
            Self::Unknown(other) => other,
            known => known.known_kind().unwrap_or_default(),
        }
    }
}

mod kind {
    pub(super) const RECALC: &str = "nodeinfoRecalc";
    pub(super) const NODE_MARGIN: &str = "nodeinfoNMS";
    pub(super) const MARGIN: &str = "nodemargininfoNMS";
    pub(super) const STATIC: &str = "nodeinfoStatic";
    pub(super) const TEXT: &str = "text";
}

/// Where the sender's proxy takes calls from other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyAddress {
    pub host: Host,
    pub port: u16,
}

/// `nodeinfoRecalc`: calls/s the sender accepts from each peer, per function.
#[derive(Clone, Debug, PartialEq)]
pub struct RecalcInfo {
    pub proxy: ProxyAddress,
    pub limits: BTreeMap<NodeId, BTreeMap<FunctionName, f64>>,
}

/// `nodeinfoNMS`: what the sender is and runs.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeMarginInfo {
    pub proxy: ProxyAddress,
    pub node_type: NodeType,
    pub max_values: MaxValues,
    pub functions: Vec<FunctionName>,
}

/// Thresholds of the sender. A map in the original, hence sorted by the names on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaxValues {
    #[serde(rename = "cpu_usage_node")]
    pub cpu_percent: f64,
    #[serde(rename = "power_usage_node")]
    pub power_microwatts: f64,
    #[serde(rename = "ram_usage_node")]
    pub ram_bytes: f64,
}

/// `nodemargininfoNMS`: spare capacity offered to each common neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarginInfo {
    /// Percentage points; negative if overloaded.
    pub margin: f64,
    pub load: Load,
}

/// Calls/s per function group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    #[serde(rename = "RateHighUsage")]
    pub high: f64,
    #[serde(rename = "RateLowUsage")]
    pub low: f64,
    #[serde(rename = "RateMediumUsage")]
    pub medium: f64,
}

/// `nodeinfoStatic`.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticInfo {
    pub proxy: ProxyAddress,
    pub functions: Vec<FunctionName>,
}

/// What a number was found in, for error texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Limit,
    MaxValue,
    Margin,
    Load,
}

impl Number {
    /// A margin may be negative; nothing may be infinite or not a number.
    fn accepts(self, value: f64) -> bool {
        value.is_finite() && (value >= 0.0 || self == Self::Margin)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limit => "limit",
            Self::MaxValue => "threshold",
            Self::Margin => "margin",
            Self::Load => "load",
        })
    }
}
