//! What became of the calls of a load, by the second in which they were due.

use std::{collections::BTreeMap, time::Duration};

use dfaas_agent::name::NodeId;
use serde::Serialize;

use super::latency::Latency;

/// Texts of failures that are kept of one second.
const MAX_TEXTS: usize = 3;

/// How one call ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Answered { status: u16, node: Option<NodeId> },
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No whole answer in time.
    TimedOut,
    /// No connection.
    Connect,
    /// The connection broke.
    Broken,
    /// Not made: too many calls were under way.
    Skipped,
}

impl Failure {
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed out",
            Self::Connect => "no connection",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
        }
    }
}

impl Outcome {
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status: 200, .. })
    }

    fn is_answered_by(&self, node: &NodeId) -> bool {
        matches!(self, Self::Answered { status: 200, node: Some(id) } if id == node)
    }
}

/// Calls that were due in one second, those that have ended.
#[derive(Clone, Debug, Default)]
pub struct Second {
    pub outcomes: BTreeMap<Outcome, u64>,
    pub slowest: Duration,
    /// How late a call was sent, at most: more than a little means that this machine is too busy for the load.
    pub latest: Duration,
    /// The first unsuccessful calls: when they were due, after the start, and what came.
    pub troubles: Vec<(Duration, String)>,
}

impl Second {
    pub fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| wanted(outcome)).map(|(_, n)| n).sum()
    }

    pub fn calls(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Answered 200 by this node.
    pub fn served_by(&self, node: &NodeId) -> u64 {
        self.count(|outcome| outcome.is_answered_by(node))
    }

    pub fn unsuccessful(&self) -> u64 {
        self.count(|outcome| !outcome.is_success())
    }

    pub fn add(&mut self, other: &Self) {
        for (outcome, n) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += n;
        }
        self.slowest = self.slowest.max(other.slowest);
        self.latest = self.latest.max(other.latest);
        self.troubles.extend(other.troubles.iter().take(MAX_TEXTS.saturating_sub(self.troubles.len())).cloned());
    }
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub seconds: Vec<Second>,
    /// Of the calls answered with 200.
    pub latency: Latency,
}

impl Tally {
    pub fn record(&mut self, due: Duration, took: Duration, outcome: Outcome, text: Option<String>) {
        let second = self.second(due);
        if !outcome.is_success() && second.troubles.len() < MAX_TEXTS {
            let text = text.unwrap_or_else(|| format!("{outcome:?}"));
            second.troubles.push((due, format!("{text} after {} ms", took.as_millis())));
        }
        *second.outcomes.entry(outcome).or_default() += 1;
        second.slowest = second.slowest.max(took);
    }

    /// Notes when a call was sent.
    pub fn sent(&mut self, due: Duration, late: Duration) {
        let second = self.second(due);
        second.latest = second.latest.max(late);
    }

    fn second(&mut self, due: Duration) -> &mut Second {
        let index = due.as_secs() as usize;
        if self.seconds.len() <= index {
            self.seconds.resize_with(index + 1, Second::default);
        }
        &mut self.seconds[index]
    }

    /// The sum of the seconds from `first` on.
    pub fn total_from(&self, first: usize) -> Second {
        let mut total = Second::default();
        self.seconds.iter().skip(first).for_each(|second| total.add(second));
        total
    }

    pub fn total(&self) -> Second {
        self.total_from(0)
    }

    /// Adds the calls of a load that came after this one.
    pub fn append(&mut self, later: Self) {
        self.seconds.extend(later.seconds);
        self.latency.add(&later.latency);
    }

    /// Adds the calls of another load of the same time.
    pub fn merge(&mut self, other: &Self) {
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize_with(other.seconds.len(), Second::default);
        }
        for (second, more) in self.seconds.iter_mut().zip(&other.seconds) {
            second.add(more);
        }
        self.latency.add(&other.latency);
    }

    /// The unsuccessful calls, one line each, as far as they are known.
    pub fn troubles(&self) -> String {
        let lines = self.seconds.iter().flat_map(|second| &second.troubles);
        let lines: Vec<_> = lines.map(|(due, text)| format!("at {:.2} s: {text}", due.as_secs_f64())).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, node: None }
    }

    #[test]
    fn a_call_counts_in_the_second_it_was_due() {
        let mut tally = Tally::default();
        tally.record(Duration::from_millis(1_999), Duration::from_secs(5), answered(200), None);
        tally.record(Duration::from_secs(2), Duration::ZERO, answered(429), None);
        tally.record(Duration::ZERO, Duration::ZERO, Outcome::Failed(Failure::Connect), Some("refused".into()));
        let calls: Vec<u64> = tally.seconds.iter().map(Second::calls).collect();
        assert_eq!(calls, [1, 1, 1]);
        assert_eq!(tally.total().unsuccessful(), 2);
        assert_eq!(tally.total_from(1).unsuccessful(), 1);
        assert_eq!(tally.troubles().lines().count(), 2);
    }

    #[test]
    fn the_texts_of_failures_do_not_grow_without_bound() {
        let mut tally = Tally::default();
        for _ in 0..100 {
            tally.record(Duration::ZERO, Duration::ZERO, answered(503), None);
        }
        let mut both = tally.clone();
        both.merge(&tally);
        assert_eq!((both.total().calls(), both.troubles().lines().count()), (200, MAX_TEXTS));
    }
}
