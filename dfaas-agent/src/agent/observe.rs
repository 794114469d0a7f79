//! What the agent leaves for those who plan off its loop.

use std::time::{Duration, Instant};

use super::{Agent, counted, planner::Observed};
use crate::{
    name::FunctionName,
    proxy::FunctionSample,
    strategy::{PlannedStrategy, Snapshot, rl_agent::Mark},
};

impl Agent {
    pub(super) fn observed(&self, now: Instant, strategy: PlannedStrategy, snapshot: &Snapshot) -> Observed {
        let cpu_times = self.platform.cpu_times();
        let mark = |name: &FunctionName| (name.clone(), self.mark(now, name, cpu_times.get(name).copied()));
        Observed {
            strategy,
            terms: self.config.strategy,
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
            forwarded: counted::forwarded(sample, &self.kernel.handed_off(name)),
            local_response_ms: sample.local_response_ms.map(f64::from),
            cpu_time,
            replicas,
        }
    }
}
