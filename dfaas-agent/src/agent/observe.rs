//! What the agent leaves for those who plan off its loop.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Agent, planner::Observed};
use crate::{
    name::{FunctionName, NodeId},
    proxy::FunctionSample,
    strategy::{
        Snapshot,
        rl_agent::{Forwarded, Mark},
    },
};

impl Agent {
    pub(super) fn observed(&self, now: Instant, snapshot: &Snapshot) -> Observed {
        let cpu_times = self.platform.cpu_times();
        let mark = |name: &FunctionName| (name.clone(), self.mark(now, name, cpu_times.get(name).copied()));
        Observed {
            strategy: self.config.strategy,
            planning: self.config.planning.clone(),
            snapshot: snapshot.clone(),
            marks: snapshot.functions.keys().map(mark).collect(),
            stage: self.proxy.view.borrow().sample.stage,
        }
    }

    fn mark(&self, now: Instant, name: &FunctionName, cpu_time: Option<Duration>) -> Mark {
        let view = self.proxy.view.borrow();
        let nothing = FunctionSample::default();
        let sample = view.sample.functions.get(name).unwrap_or(&nothing);
        let replicas = self.functions.borrow().functions.get(name).map_or(0, |deployed| deployed.replicas);
        Mark {
            at: now,
            offered: self.rates.totals(name).offered,
            executed: sample.served_local,
            executed_well: sample.served_well,
            forwarded: self.forwarded(name, sample),
            local_response_ms: sample.local_response_ms.map(f64::from),
            cpu_time,
            replicas,
        }
    }

    /// By HAProxy, which sees the answers, and by the kernel, which does not: its calls count as answered well.
    fn forwarded(&self, name: &FunctionName, sample: &FunctionSample) -> BTreeMap<NodeId, Forwarded> {
        let by_kernel = |peer: &NodeId| self.kernel.forwarded_to(name, peer);
        let peers = self.decision.functions.get(name).into_iter().flat_map(|table| table.limits_out.keys());
        let forwarded = |peer: &NodeId| {
            let by_proxy = sample.forwarded.get(peer).copied().unwrap_or(0);
            let well = sample.forwarded_well.get(peer).copied().unwrap_or(0);
            let kernel = by_kernel(peer);
            let response_ms = sample.forward_response_ms.get(peer).copied().map(f64::from);
            Forwarded { calls: by_proxy + kernel, answered_well: well + kernel, response_ms }
        };
        peers.map(|peer| (peer.clone(), forwarded(peer))).collect()
    }
}
