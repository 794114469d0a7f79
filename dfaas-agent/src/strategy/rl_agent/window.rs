//! Counters of one function at two times make what an observation says of the time between.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::name::NodeId;

/// One function's counters, which only grow, and what it looked like at one time.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub at: Instant,
    /// Calls of our own clients.
    pub offered: u64,
    /// Calls this node has executed, and those of them it answered with 2xx.
    pub executed: u64,
    pub executed_well: u64,
    /// Calls of our clients that each peer took, and those it answered with 2xx.
    pub forwarded: BTreeMap<NodeId, Forwarded>,
    /// Mean over HAProxy's last calls; `None`: there were none.
    pub local_response_ms: Option<f64>,
    /// CPU time of the function; `None`: not accounted.
    pub cpu_time: Option<Duration>,
    pub replicas: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Forwarded {
    pub calls: u64,
    pub answered_well: u64,
    pub response_ms: Option<f64>,
}

/// Means over the time between two marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Window {
    /// Calls per second.
    pub input_rate: f64,
    /// Of the executed calls: those not answered with 2xx, 0 to 1.
    pub reject_share: f64,
    pub local_response_ms: f64,
    /// Of all cores, 0 to 1.
    pub cpu_share: f64,
    pub replicas: u32,
    pub forwards: BTreeMap<NodeId, Forward>,
}

/// To one peer, in calls per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Forward {
    pub rate: f64,
    pub rejected_rate: f64,
    pub response_ms: f64,
}

impl Window {
    /// A counter that fell counts as standing still; without time between the marks all rates are 0.
    pub(crate) fn between(from: &Mark, to: &Mark, cores: u32) -> Self {
        let seconds = to.at.saturating_duration_since(from.at).as_secs_f64();
        let rate = |calls: u64| if seconds > 0.0 { calls as f64 / seconds } else { 0.0 };
        let executed = to.executed.saturating_sub(from.executed);
        let executed_well = to.executed_well.saturating_sub(from.executed_well);
        let forward = |(node, now): (&NodeId, &Forwarded)| {
            let before = from.forwarded.get(node).copied().unwrap_or_default();
            let calls = now.calls.saturating_sub(before.calls);
            let well = now.answered_well.saturating_sub(before.answered_well);
            let response_ms = now.response_ms.filter(|_| calls > 0).unwrap_or(0.0);
            (node.clone(), Forward { rate: rate(calls), rejected_rate: rate(calls.saturating_sub(well)), response_ms })
        };
        Self {
            input_rate: rate(to.offered.saturating_sub(from.offered)),
            reject_share: if executed > 0 {
                executed.saturating_sub(executed_well) as f64 / executed as f64
            } else {
                0.0
            },
            local_response_ms: to.local_response_ms.filter(|_| executed > 0).unwrap_or(0.0),
            cpu_share: cpu_share(from, to, seconds * f64::from(cores.max(1))),
            replicas: to.replicas,
            forwards: to.forwarded.iter().map(forward).collect(),
        }
    }
}

fn cpu_share(from: &Mark, to: &Mark, core_seconds: f64) -> f64 {
    let used = to.cpu_time.zip(from.cpu_time).map_or(Duration::ZERO, |(now, before)| now.saturating_sub(before));
    if core_seconds > 0.0 { (used.as_secs_f64() / core_seconds).min(1.0) } else { 0.0 }
}
