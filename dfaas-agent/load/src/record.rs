//! What came of one arrival.

use std::{sync::Arc, time::Duration};

/// There is one for every arrival, also for those that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub attack: Arc<str>,
    pub method: Arc<str>,
    pub url: Arc<str>,
    /// Number within its attack, from 0.
    pub seq: u64,
    /// When it was due: nanoseconds since 1970.
    pub due_ns: u64,
    pub stage: u32,
    /// From the moment it was due to the end: a late start counts, so that a stall of the server is seen by all
    /// requests that were due meanwhile.
    pub latency: Duration,
    /// From the moment it was due to when it was sent; `None`: never sent.
    pub late: Option<Duration>,
    pub exchange: Exchange,
}

/// What passed between client and server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Until there was a connection, without the next.
    pub blocked: Duration,
    /// Establishing a connection; zero if one was there.
    pub connecting: Duration,
    /// From the request to the head of the answer, and from there to its end.
    pub waiting: Duration,
    pub receiving: Duration,
    /// Status; 0: no answer.
    pub code: u16,
    /// Why there is no whole answer; empty if there is one.
    pub error: Arc<str>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Response headers: `X-Server`, `DFaaS-Node-ID`, `DFaaS-Forwarded-To`.
    pub server: Option<Arc<str>>,
    pub node: Option<Arc<str>>,
    pub forwarded_to: Option<Arc<str>>,
}

impl Record {
    /// From the moment it was sent to the end.
    pub fn service(&self) -> Option<Duration> {
        self.late.map(|late| self.latency.saturating_sub(late))
    }

    /// A whole answer came, whatever it says.
    pub fn is_complete(&self) -> bool {
        self.exchange.code != 0 && self.exchange.error.is_empty()
    }

    /// A whole answer with a good status.
    pub fn is_success(&self) -> bool {
        self.is_complete() && (200..400).contains(&self.exchange.code)
    }

    /// Which node served it, by the best name that the answer has.
    pub fn served_by(&self) -> Option<&Arc<str>> {
        let exchange = &self.exchange;
        exchange.server.as_ref().or(exchange.forwarded_to.as_ref()).or(exchange.node.as_ref())
    }

    pub fn end_ns(&self) -> u64 {
        self.due_ns.saturating_add(nanos(self.latency))
    }
}

/// Up to 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// Due after so many milliseconds, answered with this status after so many.
    pub(crate) fn record(attack: &str, due_ms: u64, code: u16, latency_ms: u64) -> Record {
        Record {
            attack: attack.into(),
            method: "GET".into(),
            url: "http://n1/".into(),
            seq: due_ms,
            due_ns: 1_700_000_000_000_000_000 + due_ms * 1_000_000,
            stage: 0,
            latency: Duration::from_millis(latency_ms),
            late: Some(Duration::ZERO),
            exchange: Exchange {
                waiting: Duration::from_millis(latency_ms),
                code,
                error: if code == 0 { "connection refused".into() } else { "".into() },
                bytes_in: 10,
                server: (code == 200).then(|| "n1".into()),
                ..Exchange::default()
            },
        }
    }
}
