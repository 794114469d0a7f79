//! The replay simulator: minutes measured on real nodes, replayed on virtual ones that forward their excess.
//!
//! Measurements and instance in, for each strategy tables and indices out. The same seed gives the same results.

pub mod choice;
pub mod files;
pub mod generate;
pub mod indices;
mod input;
pub mod instance;
pub mod measured;
mod minute;
pub mod old_layout;
pub mod plots;
pub mod traffic;
pub mod weights;

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rayon::prelude::*;

use choice::{Choice, Routes};
use indices::{Indices, Series};
use instance::Instance;
use measured::{FUNCTIONS, Minutes};
use traffic::{FunctionMinute, Routing};

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct RunSpec {
    pub choices: Vec<Choice>,
    pub repetitions: usize,
    pub seed: u64,
}

#[derive(Clone, Debug)]
pub struct Experiment {
    /// Of each repetition.
    pub seeds: Vec<u64>,
    pub results: Vec<StrategyResult>,
}

#[derive(Clone, Debug)]
pub struct StrategyResult {
    pub choice: Choice,
    pub repetitions: Vec<Repetition>,
    /// What the nodes did and what came of it in the last repetition, by minute.
    pub last: Vec<Minute>,
}

impl StrategyResult {
    pub fn mean(&self) -> Indices {
        Indices::mean(&self.repetitions.iter().map(|repetition| repetition.indices).collect::<Vec<_>>())
    }
}

#[derive(Clone, Debug)]
pub struct Repetition {
    pub indices: Indices,
    /// In the order of [`FUNCTIONS`].
    pub series: Vec<Series>,
}

#[derive(Clone, Debug)]
pub struct Minute {
    pub routes: Vec<Routes>,
    /// In the order of [`FUNCTIONS`].
    pub functions: Vec<FunctionMinute>,
}

/// Runs all strategies, in parallel; `done` is called after each repetition of each.
pub fn run(instance: &Instance, minutes: &Minutes, plan: &RunSpec, done: impl Fn() + Sync) -> Experiment {
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let seeds: Vec<u64> = (0..plan.repetitions).map(|_| rng.random::<u32>().into()).collect();
    let repeat = |choice: Choice| {
        let repetition = |(i, seed): (usize, &u64)| {
            let replayed = replay(instance, minutes, choice, *seed);
            done();
            let last = i + 1 == seeds.len();
            (summarise(&replayed), if last { replayed } else { Vec::new() })
        };
        let mut all: Vec<_> = seeds.par_iter().enumerate().map(repetition).collect();
        let last = all.last_mut().map(|(_, minutes)| std::mem::take(minutes)).unwrap_or_default();
        StrategyResult { choice, repetitions: all.into_iter().map(|(repetition, _)| repetition).collect(), last }
    };
    Experiment { results: plan.choices.par_iter().map(|choice| repeat(*choice)).collect(), seeds }
}

/// One strategy once. Its random numbers do not depend on which others are compared.
fn replay(instance: &Instance, minutes: &Minutes, choice: Choice, seed: u64) -> Vec<Minute> {
    let of_name = choice.name().bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mut rng = StdRng::seed_from_u64(seed ^ of_name.rotate_left(32));
    let mut replayed = Vec::with_capacity(minutes.len());
    for metrics in minutes {
        let routes = choice.decide(instance, metrics, &mut rng);
        let mut functions = Vec::with_capacity(FUNCTIONS.len());
        for function in FUNCTIONS {
            let mut traffic = FunctionMinute::default();
            for (node, own) in metrics.iter().enumerate() {
                let Some((name, measured)) = own.functions.iter().find(|(name, _)| name.as_str() == function) else {
                    continue;
                };
                let nowhere = Routing::Excess(BTreeMap::default());
                traffic.send(node, measured, routes[node].get(name).unwrap_or(&nowhere), &mut rng);
            }
            functions.push(traffic);
        }
        replayed.push(Minute { routes, functions });
    }
    replayed
}

fn summarise(minutes: &[Minute]) -> Repetition {
    let mut series = vec![Series::default(); FUNCTIONS.len()];
    for minute in minutes {
        for (series, function) in series.iter_mut().zip(&minute.functions) {
            series.push(function);
        }
    }
    Repetition { indices: Indices::of(series.iter()), series }
}
