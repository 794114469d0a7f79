//! The rules that the replay simulator compares: which shares of the excess of one function go to which neighbour.
//!
//! They see measurements of a whole minute, of the node and of its neighbours, as the original's simulator has them.

mod empirical;
mod random;
mod static_share;

use std::collections::BTreeMap;

use rand::Rng;

use dfaas_agent::name::FunctionName;

/// What was measured on a node in one minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeMetrics {
    /// Fraction of the node's memory in use.
    pub ram_usage: f64,
    /// Fraction of the node's processors in use.
    pub cpu_usage: f64,
    /// Of the functions deployed there.
    pub functions: BTreeMap<FunctionName, FunctionMetrics>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionMetrics {
    pub replicas: u32,
    /// Calls per second that the node's own clients offer.
    pub rate: f64,
    /// Calls per second that the node can serve.
    pub max_rate: f64,
    /// What is left of the maximum, in calls per second.
    pub margin: f64,
    pub overloaded: bool,
    /// Mean time of one execution.
    pub execution_s: f64,
    /// Share of the node's memory and processors that the function uses, in the unit of the measurements.
    pub ram_share: f64,
    pub cpu_share: f64,
    /// Calls per second as the monitoring saw them; no rule uses it.
    pub observed_rate: f64,
}

/// A node and its neighbours in one minute.
#[derive(Clone, Debug)]
pub struct LocalView<'a> {
    pub own: &'a NodeMetrics,
    pub neighbours: Vec<&'a NodeMetrics>,
}

impl<'a> LocalView<'a> {
    /// The neighbours that run a function, by their place in the view.
    fn with(&self, function: &FunctionName) -> impl Iterator<Item = (usize, &'a NodeMetrics, &'a FunctionMetrics)> {
        self.neighbours
            .iter()
            .enumerate()
            .filter_map(move |(place, node)| Some((place, *node, node.functions.get(function)?)))
    }
}

/// Percent of the excess by a neighbour's place in the view. The sum is 100, or all are 0: then nothing is forwarded.
pub type Shares = BTreeMap<usize, f64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing is forwarded.
    Base,
    /// Anything to anyone.
    Random,
    /// By the room that each neighbour has for each of the nodes it can be asked by.
    StaticShare,
    /// By eight measurements, sometimes disturbed so that a better share can be found by chance.
    Empirical,
}

impl Rule {
    /// Shares for a function that is overloaded on the view's own node.
    pub fn shares(self, view: &LocalView<'_>, function: &FunctionName, rng: &mut impl Rng) -> Shares {
        match self {
            Self::Random => random::shares(view, rng),
            Self::Empirical => empirical::disturb(empirical::shares(view, function), rng),
            Self::Base | Self::StaticShare => self.certain_shares(view, function).unwrap_or_default(),
        }
    }

    /// The part of [`Rule::shares`] that does not depend on chance; `None` if nothing remains.
    pub fn certain_shares(self, view: &LocalView<'_>, function: &FunctionName) -> Option<Shares> {
        match self {
            Self::Base => Some(Shares::new()),
            Self::Random => None,
            Self::StaticShare => Some(static_share::shares(view, function)),
            Self::Empirical => Some(empirical::shares(view, function)),
        }
    }
}

/// Shares with the same proportions and the sum 100; all 0 if the sum was.
fn to_percent(mut shares: Shares) -> Shares {
    let total: f64 = shares.values().sum();
    for share in shares.values_mut() {
        *share = if total > 0.0 { *share * 100.0 / total } else { 0.0 };
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    pub(super) fn function(name: &str) -> FunctionName {
        name.parse().unwrap()
    }

    pub(super) fn measured(rate: f64, max_rate: f64) -> NodeMetrics {
        let metrics = FunctionMetrics {
            replicas: 2,
            rate,
            max_rate,
            margin: (max_rate - rate).max(0.0),
            overloaded: rate >= max_rate,
            execution_s: 0.01,
            ram_share: 0.5,
            cpu_share: 0.5,
            observed_rate: rate,
        };
        NodeMetrics { ram_usage: 0.4, cpu_usage: 0.3, functions: [(function("f"), metrics)].into() }
    }

    #[test]
    fn the_base_forwards_nothing() {
        let (own, other) = (measured(20.0, 10.0), measured(0.0, 10.0));
        let view = LocalView { own: &own, neighbours: vec![&other] };
        assert!(Rule::Base.shares(&view, &function("f"), &mut StdRng::seed_from_u64(1)).is_empty());
    }

    #[test]
    fn every_rule_hands_out_a_hundred_percent_where_somebody_can_help() {
        let (own, a, b) = (measured(20.0, 10.0), measured(0.0, 10.0), measured(4.0, 9.0));
        let view = LocalView { own: &own, neighbours: vec![&a, &b] };
        for rule in [Rule::Random, Rule::StaticShare, Rule::Empirical] {
            for seed in 0..20 {
                let shares = rule.shares(&view, &function("f"), &mut StdRng::seed_from_u64(seed));
                let total: f64 = shares.values().sum();
                assert!((total - 100.0).abs() < 1e-9, "{rule:?} with seed {seed}: {shares:?}");
                assert!(shares.values().all(|share| *share >= 0.0), "{rule:?}: {shares:?}");
            }
        }
    }

    #[test]
    fn a_node_without_neighbours_keeps_its_excess() {
        let own = measured(20.0, 10.0);
        let view = LocalView { own: &own, neighbours: Vec::new() };
        for rule in [Rule::Random, Rule::StaticShare, Rule::Empirical] {
            assert!(rule.shares(&view, &function("f"), &mut StdRng::seed_from_u64(1)).is_empty(), "{rule:?}");
        }
    }
}
