//! What peers make of the calls that they accept: who accepts and fails loses its share quickly, and regains it slowly. Pure:
//! the clock is passed in.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    name::{FunctionName, NodeId},
    proxy::{Answers, FunctionSample},
};

/// Counts fade to half in this time.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// Fewer failures prove nothing.
const LEAST_FAILURES: f64 = 3.0;
/// A share of failures that is not much worse than this node's own is the function's fault.
const TOLERANCE: f64 = 0.1;
/// Below it a peer gets nothing until it has rested; then so much.
const LEAST_SHARE: f64 = 0.1;
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_mins(5);
/// From nothing to all.
const RECOVERY: Duration = Duration::from_mins(1);
/// Shares are used in steps: each is another decision for both data planes.
const STEPS: f64 = 10.0;

/// By function and who served it: a peer, or this node (`None`).
type Who = (FunctionName, Option<NodeId>);

#[derive(Debug, Default)]
pub(super) struct Answering(BTreeMap<Who, Record>);

#[derive(Clone, Copy, Debug)]
struct Record {
    seen: Answers,
    at: Instant,
    /// Faded counts.
    calls: f64,
    failed: f64,
    /// Of what was granted, as much counts.
    share: f64,
    rest: Duration,
    rests_until: Option<Instant>,
}

impl Answering {
    /// Takes what the servers' counters say. Functions and peers that are not named are forgotten.
    pub(super) fn learn<'a>(
        &mut self,
        now: Instant,
        samples: impl Iterator<Item = (&'a FunctionName, &'a FunctionSample)>,
    ) {
        let before = std::mem::take(&mut self.0);
        for (name, sample) in samples {
            let peers = sample.answers.iter().map(|(node, answers)| (Some(node.clone()), *answers));
            let mut own = 0.0;
            for (node, answers) in std::iter::once((None, sample.answers_here)).chain(peers) {
                let who = (name.clone(), node);
                let mut record = before.get(&who).copied().unwrap_or_else(|| Record::new(answers, now));
                record.count(answers, now);
                let blamed = record.failing() - own;
                if who.1.is_none() {
                    own = record.failing();
                }
                record.judge(blamed, now);
                self.0.insert(who, record);
            }
        }
    }

    /// How much of a peer's grant counts; 1: all.
    pub(super) fn share(&self, function: &FunctionName, node: &NodeId) -> f64 {
        self.of(&(function.clone(), Some(node.clone())))
    }

    /// How much of what this node could grant it can answer for.
    pub(super) fn own_share(&self, function: &FunctionName) -> f64 {
        self.of(&(function.clone(), None))
    }

    fn of(&self, who: &Who) -> f64 {
        self.0.get(who).map_or(1.0, |record| (record.share * STEPS).floor() / STEPS)
    }
}

impl Record {
    fn new(seen: Answers, now: Instant) -> Self {
        Self { seen, at: now, calls: 0.0, failed: 0.0, share: 1.0, rest: FIRST_REST, rests_until: None }
    }

    /// A counter that has fallen is that of another worker of HAProxy.
    fn count(&mut self, answers: Answers, now: Instant) {
        let fade = 0.5_f64.powf(now.duration_since(self.at).div_duration_f64(HALF_LIFE));
        let from = if answers.calls < self.seen.calls { Answers::default() } else { self.seen };
        self.calls = self.calls * fade + (answers.calls - from.calls) as f64;
        self.failed = self.failed * fade + answers.failed.saturating_sub(from.failed) as f64;
        if self.rests_until.is_none_or(|until| now >= until) {
            let regained = now.duration_since(self.at).div_duration_f64(RECOVERY);
            self.share = (self.share.max(LEAST_SHARE) + regained).min(1.0);
        }
        if self.share >= 1.0 {
            (self.rest, self.rests_until) = (FIRST_REST, None);
        }
        (self.seen, self.at) = (answers, now);
    }

    /// Part of the calls that failed lately.
    fn failing(&self) -> f64 {
        if self.failed < LEAST_FAILURES { 0.0 } else { self.failed / self.calls.max(self.failed) }
    }

    fn judge(&mut self, blamed: f64, now: Instant) {
        if blamed <= TOLERANCE {
            return;
        }
        self.share = self.share.min(1.0 - blamed);
        if self.share < LEAST_SHARE {
            // What it is tried with after its rest is judged by itself.
            (self.share, self.calls, self.failed) = (0.0, 0.0, 0.0);
            if self.rests_until.is_none_or(|until| now >= until) {
                self.rests_until = Some(now + self.rest);
                self.rest = (self.rest * 2).min(LONGEST_REST);
            }
        }
    }
}

#[cfg(test)]
mod tests;
