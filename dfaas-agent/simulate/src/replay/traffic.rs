//! What becomes of the calls of a minute: no queue, no delay, one hop; what arrives beyond a node's maximum is lost.

use std::collections::BTreeMap;

use rand::{
    Rng,
    distr::{Distribution as _, weighted::WeightedIndex},
};

use crate::replayed::FunctionMetrics;

/// Where a node's calls of one function go. Weights by node, relative to their sum.
#[derive(Clone, Debug, PartialEq)]
pub enum Routing {
    /// Served here up to the maximum; the excess by weights, refused if there are none.
    Excess(BTreeMap<usize, f64>),
    /// Every call by weights, of which this node and refusal have their own.
    Every { local: f64, reject: f64, peers: BTreeMap<usize, f64> },
}

/// One function in one minute, nodes by number; calls per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionMinute {
    /// From node, to node.
    pub table: BTreeMap<(usize, usize), f64>,
    pub rates: BTreeMap<usize, f64>,
    pub max_rates: BTreeMap<usize, f64>,
}

impl FunctionMinute {
    /// Sends the calls of one node on their way.
    pub fn send(&mut self, from: usize, metrics: &FunctionMetrics, routing: &Routing, rng: &mut impl Rng) {
        self.rates.insert(from, metrics.rate);
        self.max_rates.insert(from, metrics.max_rate);
        match routing {
            Routing::Excess(weights) => {
                self.table.insert((from, from), metrics.rate.min(metrics.max_rate));
                let excess = metrics.rate.trunc() - metrics.max_rate.trunc();
                let targets: Vec<_> = weights.iter().map(|(node, weight)| (Some(*node), *weight)).collect();
                self.draw(from, excess, &targets, rng);
            }
            Routing::Every { local, reject, peers } => {
                let mut targets = vec![(Some(from), *local), (None, *reject)];
                targets.extend(peers.iter().map(|(node, weight)| (Some(*node), *weight)));
                self.draw(from, metrics.rate.trunc(), &targets, rng);
            }
        }
    }

    /// Call by call, with the weights as probabilities; without weights none leaves.
    fn draw(&mut self, from: usize, calls: f64, targets: &[(Option<usize>, f64)], rng: &mut impl Rng) {
        let Ok(weights) = WeightedIndex::new(targets.iter().map(|(_, weight)| *weight)) else { return };
        for _ in 0..calls.max(0.0) as u64 {
            if let Some(to) = targets[weights.sample(rng)].0 {
                *self.table.entry((from, to)).or_default() += 1.0;
            }
        }
    }

    pub fn offered(&self) -> f64 {
        self.rates.values().sum()
    }

    /// What the nodes can serve of what arrives at each.
    pub fn served(&self) -> f64 {
        let mut arrivals: BTreeMap<usize, f64> = BTreeMap::new();
        for ((_, to), calls) in &self.table {
            *arrivals.entry(*to).or_default() += calls;
        }
        arrivals.iter().map(|(node, calls)| calls.min(self.max_rates.get(node).copied().unwrap_or(0.0))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    fn metrics(rate: f64, max_rate: f64) -> FunctionMetrics {
        FunctionMetrics { rate, max_rate, ..FunctionMetrics::default() }
    }

    fn sent(first: (f64, f64), routing: &Routing) -> FunctionMinute {
        let mut minute = FunctionMinute::default();
        let mut rng = StdRng::seed_from_u64(3);
        minute.send(0, &metrics(first.0, first.1), routing, &mut rng);
        minute.send(1, &metrics(2.0, 10.0), &Routing::Excess(BTreeMap::new()), &mut rng);
        minute.send(2, &metrics(9.0, 10.0), &Routing::Excess(BTreeMap::new()), &mut rng);
        minute
    }

    #[test]
    fn excess_without_weights_is_refused() {
        let minute = sent((30.0, 20.0), &Routing::Excess(BTreeMap::new()));
        assert_eq!((minute.offered(), minute.served()), (41.0, 31.0));
        assert_eq!(minute.table, [((0, 0), 20.0), ((1, 1), 2.0), ((2, 2), 9.0)].into());
    }

    #[test]
    fn what_arrives_beyond_a_maximum_is_lost() {
        let minute = sent((30.0, 20.0), &Routing::Excess([(2, 100.0)].into()));
        assert_eq!(minute.table[&(0, 2)], 10.0);
        assert_eq!(minute.served(), 20.0 + 2.0 + 10.0);
    }

    #[test]
    fn every_call_of_the_excess_goes_somewhere_and_a_zero_weight_gets_none() {
        let minute = sent((1020.0, 20.0), &Routing::Excess([(1, 3.0), (2, 1.0), (7, 0.0)].into()));
        let (one, two) = (minute.table[&(0, 1)], minute.table[&(0, 2)]);
        assert_eq!(one + two, 1000.0);
        // 750 of 1000 are expected; five standard deviations are 69.
        assert!((681.0..=819.0).contains(&one), "{one}");
        assert!(!minute.table.contains_key(&(0, 7)));
    }

    #[test]
    fn fractions_of_a_call_are_not_forwarded() {
        let minute = sent((20.9, 20.5), &Routing::Excess([(1, 1.0)].into()));
        assert_eq!(minute.table[&(0, 0)], 20.5);
        assert!(!minute.table.contains_key(&(0, 1)));
    }

    #[test]
    fn weights_over_every_call_include_this_node_and_refusal() {
        let routing = Routing::Every { local: 1.0, reject: 1.0, peers: [(1, 2.0)].into() };
        let minute = sent((1000.0, 2000.0), &routing);
        let (here, there) = (minute.table[&(0, 0)], minute.table[&(0, 1)]);
        assert!((181.0..=319.0).contains(&here) && (421.0..=579.0).contains(&there), "{here} {there}");
    }
}
