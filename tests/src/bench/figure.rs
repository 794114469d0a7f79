//! What is measured by a load at saturation: calls that node A hands to node B, and calls that it refuses.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{
    calls::{BODIES, FORWARDED, REFUSED},
    contender::{Contender, Cost},
    wrk::{self, Connections, Outcome},
};
use crate::client::{self, Call};

/// For caches, tables and the queue of a listener to fill.
const WARM_UP: Duration = Duration::from_secs(1);
/// Of requests, and of the answers to them.
pub(super) const SIZES_BYTES: [usize; 4] = [0, 1 << 10, 100 << 10, 5_000_000];

#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) name: String,
    connections: Connections,
    body_bytes: usize,
    is_refusal: bool,
}

/// One load on one contender.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    pub(super) cost: Cost,
    /// Sockets in TIME_WAIT at the client, afterwards: with many, the ports run out and the load stalls.
    pub(super) time_wait: u64,
    pub(super) latency: Option<Latency>,
}

/// At a fixed rate, whatever the answers do, from the moment a call was due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    pub(super) rate: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// How late the latest call was sent.
    pub(super) late_ms: f64,
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

    /// Of everything that has to do with the call: both nodes, the switch and the client.
    pub(super) fn all_us(&self) -> f64 {
        self.per_request_us(self.cost.all_ns + self.outcome.cpu_ns)
    }

    fn per_request_us(&self, ns: u64) -> f64 {
        ns as f64 / 1000.0 / self.outcome.requests as f64
    }
}

impl Figure {
    /// Calls that node A hands on, with bodies of all sizes there and back.
    pub(super) fn forwarded() -> Vec<Self> {
        let kinds = [(Connections::PerRequest, "connection per request"), (Connections::Kept, "kept alive")];
        let figure = |(connections, kind): (Connections, &str), body_bytes: usize| Self {
            name: format!("forward, {kind}, {}", size_name(body_bytes)),
            connections,
            body_bytes,
            is_refusal: false,
        };
        kinds.into_iter().flat_map(|kind| SIZES_BYTES.map(|size| figure(kind, size))).collect()
    }

    pub(super) fn refused() -> Vec<Self> {
        let connections = Connections::PerRequest;
        vec![Self { name: "refuse".to_owned(), connections, body_bytes: 0, is_refusal: true }]
    }

    pub(super) fn has_body(&self) -> bool {
        self.body_bytes > 0
    }

    pub(super) fn is_large(&self) -> bool {
        self.body_bytes >= wrk::LARGE_BYTES
    }

    fn url(&self, contender: &dyn Contender) -> String {
        let function = if self.is_refusal { REFUSED } else { FORWARDED };
        let end = if self.has_body() { BODIES } else { "" };
        format!("http://{}/function/{function}{end}", contender.address())
    }

    pub(super) fn warm_up(&self, contender: &dyn Contender) -> Result<()> {
        self.load(contender, WARM_UP).map(drop)
    }

    fn load(&self, contender: &dyn Contender, time: Duration) -> Result<Outcome> {
        let (url, connections, body_bytes) = (&self.url(contender), self.connections, self.body_bytes);
        wrk::Load { url, connections, body_bytes, time }.run(&contender.client().namespace)
    }

    pub(super) fn measure(&self, contender: &dyn Contender, time: Duration) -> Result<Sample> {
        let (received, before) = (contender.received_bytes(), contender.cost()?);
        let outcome = self.load(contender, time)?;
        let cost = contender.cost()?.since(&before);
        let received = contender.received_bytes() - received;
        self.check(&outcome, received)
            .with_context(|| format!("{}: {} cannot be measured", self.name, contender.name()))?;
        Ok(Sample { outcome, cost, time_wait: contender.client_time_wait()?, latency: None })
    }

    /// Was it the work that was asked for?
    fn check(&self, outcome: &Outcome, received_bytes: u64) -> Result<()> {
        let requests = outcome.requests;
        ensure!(requests > 0, "not one request was answered");
        let right = if self.is_refusal { outcome.not_2xx } else { requests - outcome.not_2xx };
        ensure!(right * 1000 >= requests * 999, "only {right} of {requests} answers are of the expected kind");
        ensure!(
            outcome.errors * 100 <= requests,
            "{} errors beside {requests} answers, expected less than 1 %",
            outcome.errors
        );
        let bytes = requests as f64 * self.body_bytes as f64;
        ensure!(received_bytes as f64 >= bytes * 0.999, "node B has received {received_bytes} of {bytes} bytes");
        // wrk rounds to three digits.
        ensure!(outcome.read_bytes >= bytes * 0.99, "the client has read {} of {bytes} bytes", outcome.read_bytes);
        Ok(())
    }

    /// Calls at a fixed rate.
    pub(super) fn latency(&self, contender: &dyn Contender, rate: f64, time: Duration) -> Result<Latency> {
        let url = self.url(contender);
        let call = if self.has_body() { Call::post(url, vec![b'x'; self.body_bytes]) } else { Call::get(url) };
        let connections = match self.connections {
            Connections::PerRequest => client::Connections::PerCall,
            Connections::Kept => client::Connections::Kept,
        };
        let load = client::Load { call, rate, duration: Some(time), connections };
        let tally = load.start(&contender.client().namespace.entrance()?)?.finish()?;
        let total = tally.total();
        let bad = total.unsuccessful();
        ensure!(
            bad * 100 <= total.calls() && tally.latency.calls() > 0,
            "{}: {bad} of {} calls to {} at {rate:.0}/s were not answered, expected less than 1 %: {}",
            self.name,
            total.calls(),
            contender.name(),
            tally.troubles()
        );
        let [p50_ms, p99_ms] = [0.5, 0.99].map(|quantile| tally.latency.quantile_ms(quantile));
        Ok(Latency { rate, p50_ms, p99_ms, late_ms: total.latest.as_secs_f64() * 1000.0 })
    }
}

fn size_name(bytes: usize) -> String {
    match bytes {
        0 => "no body".to_owned(),
        n if n % 1_000_000 == 0 => format!("{} MB", n / 1_000_000),
        n => format!("{} KiB", n / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(requests: u64, not_2xx: u64, read_bytes: f64) -> Outcome {
        Outcome { requests, per_second: 1.0, not_2xx, errors: 0, read_bytes, cpu_ns: 0 }
    }

    #[test]
    fn every_size_is_forwarded_on_both_kinds_of_connection() {
        let names: Vec<String> = Figure::forwarded().into_iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[3], "forward, connection per request, 5 MB");
        assert_eq!(names[5], "forward, kept alive, 1 KiB");
    }

    #[test]
    fn bodies_that_did_not_go_both_ways_are_no_figure() {
        let figure = &Figure::forwarded()[1];
        assert!(figure.check(&outcome(1000, 0, 1_100_000.0), 1_024_000).is_ok());
        assert!(figure.check(&outcome(1000, 0, 1_100_000.0), 1_000_000).is_err());
        assert!(figure.check(&outcome(1000, 0, 900_000.0), 1_024_000).is_err());
    }

    #[test]
    fn answers_of_the_wrong_kind_are_no_figure() {
        let refused = &Figure::refused()[0];
        assert!(refused.check(&outcome(1000, 1000, 0.0), 0).is_ok());
        assert!(refused.check(&outcome(1000, 998, 0.0), 0).is_err());
        assert!(Figure::forwarded()[0].check(&outcome(1000, 2, 0.0), 0).is_err());
    }
}
