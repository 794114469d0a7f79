//! What a node uses under a load: one question with several answerers behind one trait.
//!
//! Node margin asks it of this node and of its peers, live and in the simulator.

pub mod columns;
pub(crate) mod fallback;
pub mod folder;
pub mod groups;
pub mod lightgbm;
pub mod measured;
pub mod models;
pub mod node_state;
pub(crate) mod remote;
pub mod scalers;
pub mod service;
pub mod tree;
pub(crate) mod untrusted;

use std::fmt;

use crate::name::FunctionName;

/// Size of a node, a feature of the trained models (`AGENT_NODE_TYPE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeType {
    Heavy,
    #[default]
    Mid,
    Light,
}

impl NodeType {
    /// As in messages and settings: 0 heavy, 1 mid, 2 light.
    pub const fn number(self) -> u8 {
        match self {
            Self::Heavy => 0,
            Self::Mid => 1,
            Self::Light => 2,
        }
    }

    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Heavy),
            1 => Some(Self::Mid),
            2 => Some(Self::Light),
            _ => None,
        }
    }
}

/// Resources of a node, in use or at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Percent of one core, summed over cores.
    pub cpu: f64,
    /// Bytes.
    pub ram: f64,
    /// Microwatts.
    pub power: f64,
}

/// Calls per second by group of functions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupRates {
    pub high: f64,
    pub low: f64,
    pub medium: f64,
}

/// What a node has to do, in calls per second.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// All of it that belongs to a group. The trained models see only this.
    pub groups: GroupRates,
    /// The part known by function; of a peer, what this node would send it. The measured costs see only this.
    pub functions: &'a [(FunctionName, f64)],
}

/// Predicts what a node uses under a load.
///
/// One that asks over the network blocks for at most its time-out: it is called off the agent's loop.
pub trait Forecaster: Send + Sync {
    fn usage(&self, node: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError>;
}

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastError(pub String);

impl fmt::Display for ForecastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ForecastError {}
