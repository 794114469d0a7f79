//! What is measured.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{
    contender::{Contender, Cost},
    wrk::{self, Connections, Outcome},
};

/// For caches, tables and the queue of a listener to fill.
const WARM_UP: Duration = Duration::from_secs(1);

pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) function: &'static str,
    pub(super) connections: Connections,
    is_refusal: bool,
}

/// A function that node A hands to node B, and one that it refuses.
pub(super) const FORWARDED: &str = "figlet";
pub(super) const REFUSED: &str = "nowhere";

pub(super) const FIGURES: [Figure; 3] = [
    Figure {
        name: "forward, connection per request",
        function: FORWARDED,
        connections: Connections::PerRequest,
        is_refusal: false,
    },
    Figure { name: "forward, kept alive", function: FORWARDED, connections: Connections::Kept, is_refusal: false },
    Figure { name: "refuse", function: REFUSED, connections: Connections::PerRequest, is_refusal: true },
];

/// One load on one contender.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    pub(super) cost: Cost,
    /// Sockets in TIME_WAIT at the client, afterwards: with many, the ports run out and the load stalls.
    pub(super) time_wait: u64,
}

impl Sample {
    /// Microseconds of CPU per request: of the programs, or of the proxy.
    pub(super) fn own_us(&self) -> f64 {
        self.per_request_us(self.cost.own_ns)
    }

    /// The same with the handling of node A's packets; not a number if it is not told apart from other nodes'.
    pub(super) fn node_us(&self) -> f64 {
        self.cost.node_ns.map_or(f64::NAN, |ns| self.per_request_us(ns))
    }

    fn per_request_us(&self, ns: u64) -> f64 {
        ns as f64 / 1000.0 / self.outcome.requests as f64
    }
}

impl Figure {
    pub(super) fn measure(&self, contender: &dyn Contender, seconds: u64) -> Result<Sample> {
        let load = |time: Duration| {
            let client = contender.client();
            let address = contender.address();
            wrk::run(&client.namespace, &format!("http://{address}/function/{}", self.function), self.connections, time)
        };
        load(WARM_UP)?;
        let before = contender.cost()?;
        let outcome = load(Duration::from_secs(seconds))?;
        let cost = contender.cost()?.since(&before);
        self.check(&outcome).with_context(|| format!("{}: {} cannot be measured", self.name, contender.name()))?;
        Ok(Sample { outcome, cost, time_wait: contender.client_time_wait()? })
    }

    /// Was it the work that was asked for?
    fn check(&self, outcome: &Outcome) -> Result<()> {
        ensure!(outcome.requests > 0, "not one request was answered");
        let right = if self.is_refusal { outcome.not_2xx } else { outcome.requests - outcome.not_2xx };
        ensure!(
            right * 1000 >= outcome.requests * 999,
            "only {right} of {} answers are of the expected kind",
            outcome.requests
        );
        ensure!(
            outcome.errors * 100 <= outcome.requests,
            "{} errors beside {} answers, expected less than 1 %",
            outcome.errors,
            outcome.requests
        );
        Ok(())
    }
}
