//! Many cases at once: every strategy on every instance, in parallel. The results do not depend on the order.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    analysis::{Indices, PredictedOutcome, evaluate},
    instance::Instance,
    node::NodeModel,
    run::PredictedStrategy,
};
use dfaas_agent::forecast::{ForecastError, groups::Groups};

/// An instance and what each strategy makes of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub instance: Instance,
    pub outcomes: Vec<PredictedOutcome>,
}

/// Runs `strategies` on all instances; `done` is called after each pair.
pub fn sweep(
    instances: Vec<Instance>,
    strategies: &[PredictedStrategy],
    compat: bool,
    model: &NodeModel,
    groups: &Groups,
    done: impl Fn() + Sync,
) -> Result<Vec<Case>, ForecastError> {
    let case = |instance: Instance| {
        let run = |strategy: &PredictedStrategy| {
            let outcome = evaluate(&instance, model, groups, (*strategy, compat));
            done();
            outcome
        };
        let outcomes = strategies.par_iter().map(run).collect::<Result<_, _>>()?;
        Ok(Case { instance, outcomes })
    };
    instances.into_par_iter().map(case).collect()
}

/// Means over the seeds, by load (in percent) and strategy.
pub fn means(cases: &[Case]) -> Vec<(f64, Vec<(PredictedStrategy, Indices)>)> {
    let mut loads: Vec<f64> = cases.iter().map(|case| case.instance.overloaded_percent).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    let of = |load: f64| {
        let mut by_strategy: BTreeMap<PredictedStrategy, Vec<[f64; 7]>> = BTreeMap::new();
        for case in cases.iter().filter(|case| case.instance.overloaded_percent == load) {
            for outcome in &case.outcomes {
                by_strategy.entry(outcome.strategy).or_default().push(outcome.indices.values());
            }
        }
        let mean = |all: Vec<[f64; 7]>| {
            std::array::from_fn(|i| all.iter().map(|values| values[i]).sum::<f64>() / all.len() as f64)
        };
        (load, by_strategy.into_iter().map(|(s, all)| (s, Indices::from_values(mean(all)))).collect())
    };
    loads.into_iter().map(of).collect()
}
