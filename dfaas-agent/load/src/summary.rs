//! Many records in a few numbers.

mod times;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

pub use self::times::{Milliseconds, Times};
use super::record::Record;

/// Different names and errors that are told apart; what a server sends must not fill memory.
const MAX_NAMES: usize = 200;
const OTHERS: &str = "(others)";
/// Answers that do not say who served them.
pub const UNKNOWN: &str = "unknown";

/// Grows by records, in any order.
#[derive(Clone, Debug)]
pub struct Tally {
    pub planned: u64,
    pub sent: u64,
    pub completed: u64,
    pub successes: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub by_status: BTreeMap<u16, u64>,
    pub by_node: BTreeMap<String, u64>,
    pub errors: BTreeMap<String, u64>,
    pub latency: Times,
    pub service: Times,
    pub lateness: Times,
    first_due: u64,
    last_due: u64,
    end: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            planned: 0,
            sent: 0,
            completed: 0,
            successes: 0,
            bytes_in: 0,
            bytes_out: 0,
            by_status: BTreeMap::new(),
            by_node: BTreeMap::new(),
            errors: BTreeMap::new(),
            latency: Times::default(),
            service: Times::default(),
            lateness: Times::default(),
            first_due: u64::MAX,
            last_due: 0,
            end: 0,
        }
    }
}

impl Tally {
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut tally = Self::default();
        records.into_iter().for_each(|record| tally.add(record));
        tally
    }

    pub fn add(&mut self, record: &Record) {
        self.planned += 1;
        self.first_due = self.first_due.min(record.due_ns);
        self.last_due = self.last_due.max(record.due_ns);
        self.end = self.end.max(record.end_ns());
        if !record.exchange.error.is_empty() {
            count(&mut self.errors, &record.exchange.error);
        }
        let (Some(late), Some(service)) = (record.late, record.service()) else { return };
        self.sent += 1;
        self.completed += u64::from(record.is_complete());
        self.successes += u64::from(record.is_success());
        self.bytes_in += record.exchange.bytes_in;
        self.bytes_out += record.exchange.bytes_out;
        *self.by_status.entry(record.exchange.code).or_default() += 1;
        if record.exchange.code != 0 {
            count(&mut self.by_node, record.served_by().map_or(UNKNOWN, |name| name));
        }
        self.latency.add(record.latency);
        self.service.add(service);
        self.lateness.add(late);
    }

    /// Share of the planned requests; what could not be sent has failed.
    pub fn success_rate(&self) -> f64 {
        self.successes as f64 / self.planned.max(1) as f64
    }

    /// From the first arrival to the last, and to the last end.
    pub fn attack_time(&self) -> Duration {
        Duration::from_nanos(self.last_due.saturating_sub(self.first_due))
    }

    pub fn total_time(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.first_due))
    }

    /// Arrivals per second.
    pub fn rate(&self) -> f64 {
        per_second(self.planned, self.attack_time())
    }

    /// Successes per second until the last end.
    pub fn throughput(&self) -> f64 {
        per_second(self.successes, self.total_time())
    }

    pub fn summary(&self) -> Summary {
        Summary {
            planned: self.planned,
            sent: self.sent,
            completed: self.completed,
            success_rate: self.success_rate(),
            latency_ms: self.latency.milliseconds(),
            by_status: self.by_status.clone(),
            by_node: self.by_node.clone(),
            unsent: self.planned - self.sent,
            service_ms: self.service.milliseconds(),
            lateness_ms: self.lateness.milliseconds(),
            rate: self.rate(),
            throughput: self.throughput(),
            errors: self.errors.clone(),
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let name = if counts.contains_key(name) || counts.len() < MAX_NAMES { name } else { OTHERS };
    *counts.entry(name.to_owned()).or_default() += 1;
}

fn per_second(n: u64, time: Duration) -> f64 {
    if time.is_zero() { n as f64 } else { n as f64 / time.as_secs_f64() }
}

/// As it stands in `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub planned: u64,
    pub sent: u64,
    pub completed: u64,
    pub success_rate: f64,
    /// From the moment a request was due.
    pub latency_ms: Milliseconds,
    pub by_status: BTreeMap<u16, u64>,
    pub by_node: BTreeMap<String, u64>,
    pub unsent: u64,
    /// From the moment it was sent.
    pub service_ms: Milliseconds,
    /// Between the two: how late the player itself was.
    pub lateness_ms: Milliseconds,
    pub rate: f64,
    pub throughput: f64,
    pub errors: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    #[test]
    fn what_could_not_be_sent_is_planned_and_has_failed() {
        let mut unsent = record("a", 3, 0, 0);
        unsent.late = None;
        let tally = Tally::of(&[record("a", 0, 200, 5), record("a", 1, 429, 1), record("a", 2, 0, 9), unsent]);
        assert_eq!((tally.planned, tally.sent, tally.completed, tally.successes), (4, 3, 2, 1));
        assert_eq!(tally.success_rate(), 0.25);
        assert_eq!(tally.by_status, BTreeMap::from([(0, 1), (200, 1), (429, 1)]));
        assert_eq!(tally.by_node, BTreeMap::from([("n1".into(), 1), (UNKNOWN.into(), 1)]));
        assert_eq!(tally.errors["connection refused"], 2);
    }

    #[test]
    fn names_that_a_server_invents_do_not_fill_memory() {
        let mut tally = Tally::default();
        for n in 0..10_000 {
            let mut one = record("a", n, 200, 1);
            one.exchange.server = Some(n.to_string().into());
            tally.add(&one);
        }
        assert_eq!(tally.by_node.len(), MAX_NAMES + 1);
        assert_eq!(tally.by_node[OTHERS], 10_000 - MAX_NAMES as u64);
    }

    #[test]
    fn nothing_has_a_summary_too() {
        let summary = Tally::default().summary();
        assert_eq!((summary.planned, summary.rate, summary.latency_ms.max), (0, 0.0, 0.0));
    }
}
