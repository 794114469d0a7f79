//! What is counted and timed as it happens.

use std::time::Duration;

use anyhow::Result;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, Registry};

/// From a tenth of a millisecond, the least that a decision takes, to seconds, where something hangs.
const BUCKETS_S: [f64; 12] = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.5];

pub(crate) struct Meters {
    /// These two are named as the original's.
    iterations: IntCounter,
    last_iteration_seconds: Gauge,
    iteration_seconds: Histogram,
    decision_to_kernel_seconds: Histogram,
}

impl Meters {
    pub(crate) fn new() -> Result<Self> {
        let histogram =
            |name: &str, help: &str| Histogram::with_opts(HistogramOpts::new(name, help).buckets(BUCKETS_S.to_vec()));
        Ok(Self {
            iterations: IntCounter::new(
                "dfaas_agent_strategy_iterations",
                "Iterations of the strategy since the start",
            )?,
            last_iteration_seconds: Gauge::new(
                "dfaas_agent_strategy_iteration_duration_seconds",
                "Duration of the last iteration of the strategy",
            )?,
            iteration_seconds: histogram(
                "dfaas_iteration_seconds",
                "Time to look at everything, decide, and tell the data planes",
            )?,
            decision_to_kernel_seconds: histogram(
                "dfaas_decision_to_kernel_seconds",
                "From a decision to the kernel's tables",
            )?,
        })
    }

    pub(crate) fn iterated(&self, duration: Duration) {
        self.iterations.inc();
        self.last_iteration_seconds.set(duration.as_secs_f64());
        self.iteration_seconds.observe(duration.as_secs_f64());
    }

    pub(crate) fn kernel_obeyed(&self, delay: Duration) {
        self.decision_to_kernel_seconds.observe(delay.as_secs_f64());
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<()> {
        registry.register(Box::new(self.iterations.clone()))?;
        registry.register(Box::new(self.last_iteration_seconds.clone()))?;
        registry.register(Box::new(self.iteration_seconds.clone()))?;
        registry.register(Box::new(self.decision_to_kernel_seconds.clone()))?;
        Ok(())
    }
}
