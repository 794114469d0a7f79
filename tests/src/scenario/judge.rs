//! Whether a load was shared as the nodes had agreed.

use std::time::Duration;

use serde::Serialize;

use crate::client::{Second, Tally};

/// How far a node's number of calls may be from what is expected of it.
const TOLERANCE: f64 = 0.1;
/// Calls that are sent later than this come in bursts that no node has granted.
const LATE: Duration = Duration::from_millis(100);

/// What the nodes had agreed on, by node index.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Index of the node that is called.
    pub entry: usize,
    /// Calls per second.
    pub rate: f64,
    /// What the entry node may serve, calls per second.
    pub limit: f64,
    /// What the others accept from it; the entry node's own is not used.
    pub grants: Vec<f64>,
}

/// Calls of the judged seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Expected {
    pub first_second: usize,
    /// By node.
    pub calls: Vec<f64>,
    pub deviations: Vec<String>,
}

impl Split {
    /// Shares of the nodes, in calls per second.
    pub fn shares(&self) -> Vec<f64> {
        let local = self.limit.min(self.rate);
        let others = self.grants.iter().enumerate().filter(|(i, _)| *i != self.entry);
        let granted: f64 = others.map(|(_, grant)| grant).sum();
        let share = |(i, grant): (usize, &f64)| match i {
            i if i == self.entry => local,
            _ if granted > 0.0 => (self.rate - local) * grant / granted,
            _ => 0.0,
        };
        self.grants.iter().enumerate().map(share).collect()
    }
}

/// Compares a load with what was agreed, but for its first seconds. `served` tells how many calls of a second a node has
/// answered with 200.
pub fn judge(
    tally: &Tally,
    settling_seconds: usize,
    split: &Split,
    names: &[String],
    served: impl Fn(&Second, usize) -> u64,
) -> Expected {
    let total = tally.total_from(settling_seconds);
    let seconds = tally.seconds.len().saturating_sub(settling_seconds);
    let calls: Vec<f64> = split.shares().iter().map(|share| share * seconds as f64).collect();
    let mut deviations = Vec::new();
    if seconds == 0 {
        deviations.push(format!("the load ended within its first {settling_seconds} seconds, nothing can be judged"));
    }
    let wanted = (split.rate * seconds as f64).round() as u64;
    if total.calls() != wanted {
        deviations.push(format!("{} calls were made, expected {wanted}", total.calls()));
    }
    if total.unsuccessful() > 0 {
        let first = total.troubles.first();
        let first = first.map_or(String::new(), |(due, text)| format!("; at {:.2} s: {text}", due.as_secs_f64()));
        deviations.push(format!("{} of {wanted} calls failed{first}", total.unsuccessful()));
    }
    for (i, expected) in calls.iter().enumerate() {
        let found = served(&total, i);
        if (found as f64 - expected).abs() > expected * TOLERANCE {
            let bounds = (expected * (1.0 - TOLERANCE), expected * (1.0 + TOLERANCE));
            let (name, low, high) = (&names[i], bounds.0, bounds.1);
            deviations.push(format!("{name} served {found} calls, expected {low:.0} to {high:.0}"));
        }
    }
    // An excuse only for what went wrong.
    if !deviations.is_empty() && total.latest > LATE {
        let late_ms = total.latest.as_millis();
        deviations.push(format!("this machine is too busy for the scenario: calls were sent up to {late_ms} ms late"));
    }
    Expected { first_second: settling_seconds, calls, deviations }
}

#[cfg(test)]
mod tests {
    use dfaas_agent::name::NodeId;

    use super::*;
    use crate::client::Outcome;

    fn id(i: usize) -> NodeId {
        format!("12D3KooW{}", (i + 1).to_string().repeat(44)).parse().unwrap()
    }

    /// A load of some seconds, with the calls per second that each node answers, and 429s.
    fn tally(seconds: u64, answers: [u64; 3], refused: u64) -> Tally {
        let mut tally = Tally::default();
        for second in 0..seconds {
            let mut record = |status, node: Option<usize>| {
                let outcome = Outcome::Answered { status, node: node.map(id) };
                tally.record(Duration::from_secs(second), Duration::ZERO, outcome, None);
            };
            for (i, n) in answers.iter().enumerate() {
                (0..*n).for_each(|_| record(200, Some(i)));
            }
            (0..refused).for_each(|_| record(429, None));
        }
        tally
    }

    fn judged(tally: &Tally) -> Expected {
        let split = Split { entry: 0, rate: 50.0, limit: 10.0, grants: vec![0.0, 20.0, 30.0] };
        let names = ["n1", "n2", "n3"].map(str::to_owned);
        judge(tally, 2, &split, &names, |second, i| second.served_by(&id(i)))
    }

    #[test]
    fn the_excess_is_expected_in_proportion_to_the_grants() {
        let result = judged(&tally(12, [10, 16, 24], 0));
        assert_eq!(result.calls, [100.0, 160.0, 240.0]);
        assert!(result.deviations.is_empty(), "{:?}", result.deviations);
    }

    #[test]
    fn each_deviation_has_its_sentence() {
        let result = judged(&tally(12, [10, 19, 21], 0));
        assert_eq!(result.deviations.len(), 2, "{:?}", result.deviations);
        assert!(result.deviations[0].starts_with("n2 served 190 calls, expected 144 to 176"));
        let result = judged(&tally(12, [10, 16, 23], 1));
        assert_eq!(result.deviations.len(), 1, "{:?}", result.deviations);
        assert!(result.deviations[0].starts_with("10 of 500 calls failed; at 2.00 s"), "{:?}", result.deviations);
    }

    #[test]
    fn what_happens_while_the_nodes_learn_does_not_count() {
        let mut mixed = tally(2, [10, 10, 15], 15);
        mixed.seconds.extend(tally(10, [10, 16, 24], 0).seconds);
        assert!(judged(&mixed).deviations.is_empty());
        assert!(!judged(&tally(2, [10, 16, 24], 0)).deviations.is_empty());
    }

    #[test]
    fn a_busy_machine_is_named_where_something_went_wrong() {
        let mut good = tally(12, [10, 16, 24], 0);
        good.sent(Duration::from_secs(5), Duration::from_secs(3));
        assert!(judged(&good).deviations.is_empty());
        let mut bad = tally(12, [10, 16, 23], 1);
        bad.sent(Duration::from_secs(5), Duration::from_secs(3));
        assert!(judged(&bad).deviations[1].ends_with("calls were sent up to 3000 ms late"));
    }

    #[test]
    fn calls_that_were_never_made_are_a_deviation() {
        let result = judged(&tally(12, [10, 16, 23], 0));
        assert_eq!(result.deviations, ["490 calls were made, expected 500"]);
    }
}
