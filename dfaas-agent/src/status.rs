//! What an agent says of itself: one plain value for `status`, `/status` and the live table of the emulator.
//!
//! Rates are calls per second over the agent's rate window; totals count since the maps were made.

mod show;

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    mode::Mode,
    name::{FunctionName, NodeId},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub node: NodeId,
    /// Address announced to others.
    pub host: String,
    pub version: String,
    pub uptime_s: u64,
    pub strategy: String,
    /// Version of the decision in force.
    pub decision: u32,
    /// True once both data planes have obeyed a decision about what the platform runs.
    pub ready: bool,
    pub kernel: KernelStatus,
    pub proxy: Component,
    pub platform: Component,
    pub overlay: Component,
    /// Forecaster or model, of strategies that ask one.
    #[serde(default)]
    pub planner: Option<Component>,
    /// Of node margin.
    #[serde(default)]
    pub margin: Option<MarginStatus>,
    pub planes: Planes,
    pub peers: Vec<PeerStatus>,
    pub functions: BTreeMap<FunctionName, FunctionStatus>,
}

/// What node margin goes by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarginStatus {
    /// Percentage points offered to each common neighbour.
    pub offered: f64,
    /// As forecast: percent of one core, bytes, microwatts.
    pub cpu_percent: f64,
    pub ram_bytes: f64,
    pub power_microwatts: f64,
    /// What each peer offers.
    pub peers: BTreeMap<NodeId, f64>,
    /// `fresh`, `last` (the forecaster does not answer, the last plan holds) or `nothing` (all is served here).
    pub standing: String,
}

/// The two data planes beside the one decision.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Planes {
    pub kernel: PlaneStatus,
    pub proxy: PlaneStatus,
    /// From the last decision to the kernel's tables.
    pub decision_to_kernel_ms: f64,
    pub proxy_reloads: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct PlaneStatus {
    /// Version of the decision that it obeys.
    pub version: u32,
    /// Entries that were found to differ from the decision, and put right.
    pub repaired: u64,
}

impl Status {
    /// All components, for health.
    pub fn components(&self) -> Vec<Component> {
        let kernel = Component {
            kind: "kernel".into(),
            healthy: self.kernel.error.is_none(),
            detail: self.kernel.error.clone().unwrap_or_else(|| format!("mode {}", self.kernel.mode)),
        };
        let others = [&self.proxy, &self.platform, &self.overlay].into_iter().chain(&self.planner);
        let others = others.chain(&self.kernel.firewall);
        std::iter::once(kernel).chain(others.cloned()).collect()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KernelStatus {
    pub mode: Mode,
    pub interface: String,
    /// `native` or `generic`; empty without XDP.
    pub xdp: String,
    /// Why the mode is not a better one; empty if it is the best.
    pub why: Vec<String>,
    /// What keeps the tables from being written.
    #[serde(default)]
    pub error: Option<String>,
    /// How placed connections stand with the host's firewall; none without the mode `handoff`.
    #[serde(default)]
    pub firewall: Option<Component>,
    /// Live forwarded connections.
    pub flows: u64,
    /// Packets by verdict, those that happened.
    pub verdicts: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    pub kind: String,
    pub healthy: bool,
    /// What it is, or what is wrong with it.
    pub detail: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    pub node: NodeId,
    pub host: String,
    /// Speaks our direct protocol; false: an original agent.
    pub direct: bool,
    /// `up`, `draining`, `silent` or `known` (connected, nothing heard yet).
    pub state: String,
    pub age_ms: u64,
    pub mode: String,
    pub tunnel: Option<IpAddr>,
    /// Its number in the kernel's tables.
    pub number: Option<u32>,
    /// What keeps the kernel from using it.
    #[serde(default)]
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FunctionStatus {
    pub deployed: bool,
    pub limit: Option<f64>,
    pub rates: Outcomes<f64>,
    pub totals: Outcomes<u64>,
    /// The part of the totals that each data plane did.
    #[serde(default)]
    pub by_kernel: Outcomes<u64>,
    #[serde(default)]
    pub by_proxy: Outcomes<u64>,
    /// Shares of this node and of refusal, of strategies that divide by weights alone.
    #[serde(default)]
    pub local_weight: u32,
    #[serde(default)]
    pub reject_weight: u32,
    pub weights: BTreeMap<NodeId, u32>,
    pub limits_in: BTreeMap<NodeId, f64>,
    pub limits_out: BTreeMap<NodeId, f64>,
}

/// Where calls went, kernel and HAProxy together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes<T> {
    /// Calls of our own clients.
    pub offered: T,
    /// Of those: served here.
    pub local: T,
    pub forwarded: T,
    pub rejected: T,
    /// Taken from peers.
    pub received: T,
}
