//! Empirical: the neighbours that can help are weighed by eight measurements of equal rank.

use rand::Rng;

use super::{FunctionMetrics, LocalView, NodeMetrics, Shares, to_percent};
use dfaas_agent::name::FunctionName;

/// How often the shares are disturbed, and by how much of themselves at most.
const DISTURBANCE_PROBABILITY: f64 = 0.6;
const DISTURBANCE: f64 = 0.4;

/// What stands for a measured 0, so that its inverse exists.
const LEAST_EXECUTION_S: f64 = 0.001;
const LEAST_USAGE: f64 = 0.01;

type Measure = fn(&NodeMetrics, &FunctionMetrics) -> f64;

/// More is better.
const DIRECT: [Measure; 2] = [|_, f| f64::from(f.replicas), |_, f| f.margin];

/// Less is better.
const INVERSE: [Measure; 6] = [
    |_, f| if f.rate == 0.0 { 1.0 / f.max_rate } else { f.rate / f.max_rate },
    |_, f| unless_zero(f.execution_s, LEAST_EXECUTION_S),
    |node, _| unless_zero(node.ram_usage, LEAST_USAGE),
    |node, _| unless_zero(node.cpu_usage, LEAST_USAGE),
    |_, f| unless_zero(f.ram_share, LEAST_USAGE),
    |_, f| unless_zero(f.cpu_share, LEAST_USAGE),
];

fn unless_zero(value: f64, least: f64) -> f64 {
    if value == 0.0 { least } else { value }
}

pub(super) fn shares(view: &LocalView<'_>, function: &FunctionName) -> Shares {
    let helpers: Vec<_> = view.with(function).filter(|(_, _, metrics)| !metrics.overloaded).collect();
    let mut shares: Shares = helpers.iter().map(|(place, ..)| (*place, 0.0)).collect();
    let mut weigh = |value: &dyn Fn(&NodeMetrics, &FunctionMetrics) -> f64| {
        let values = helpers.iter().map(|(place, node, metrics)| (*place, value(node, metrics)));
        for (place, percent) in to_percent(values.collect()) {
            *shares.entry(place).or_default() += percent;
        }
    };
    for measure in DIRECT {
        weigh(&measure);
    }
    for measure in INVERSE {
        weigh(&|node, metrics| 1.0 / measure(node, metrics));
    }
    to_percent(shares)
}

/// Now and then a bit more or less for everyone.
pub(super) fn disturb(mut shares: Shares, rng: &mut impl Rng) -> Shares {
    if !rng.random_bool(DISTURBANCE_PROBABILITY) {
        return shares;
    }
    for share in shares.values_mut() {
        let part = rng.random_range(0.0..DISTURBANCE) * *share;
        *share += if rng.random_bool(0.5) { part } else { -part };
    }
    to_percent(shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replayed::tests::function;
    use crate::replayed::tests::measured;
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn equal_helpers_get_equal_shares_and_full_nodes_none() {
        let (own, free, full) = (measured(20.0, 10.0), measured(1.0, 10.0), measured(12.0, 10.0));
        let view = LocalView { own: &own, neighbours: vec![&free, &full, &free] };
        let shares = shares(&view, &function("f"));
        assert_eq!(shares.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert!(shares.values().all(|share| (share - 50.0).abs() < 1e-12), "{shares:?}");
    }

    /// Margin 9 against 1 and utilisation 0.1 against 0.9 speak for the first; six measurements do not tell them apart.
    #[test]
    fn each_measurement_counts_for_an_eighth() {
        let (own, idle, busy) = (measured(20.0, 10.0), measured(1.0, 10.0), measured(9.0, 10.0));
        let view = LocalView { own: &own, neighbours: vec![&idle, &busy] };
        let shares = shares(&view, &function("f"));
        assert!((shares[&0] - (90.0 + 90.0 + 6.0 * 50.0) / 8.0).abs() < 1e-12, "{shares:?}");
    }

    #[test]
    fn a_disturbance_moves_no_share_by_more_than_two_fifths_before_it_is_normalised() {
        let even: Shares = [(0, 50.0), (1, 50.0)].into();
        let drawn: Vec<Shares> =
            (0..1000).map(|seed| disturb(even.clone(), &mut StdRng::seed_from_u64(seed))).collect();
        let changed = drawn.iter().filter(|shares| **shares != even).count();
        // 600 of 1000 are expected; five standard deviations are 78.
        assert!((522..=678).contains(&changed), "{changed} of 1000 were disturbed");
        assert!(drawn.iter().all(|shares| (30.0..=70.0).contains(&shares[&0])), "1.4 to 0.6 is 70 to 30");
    }
}
