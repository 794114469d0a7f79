//! What is served after forwarding, and the indices of the original.

use rayon::prelude::*;

use super::{
    MINUTES,
    instance::Instance,
    node::{Bearable, NodeModel},
    run::{PredictedStrategy, Sent, margins, send},
};
use dfaas_agent::{
    forecast::{ForecastError, NodeType, Usage, groups::Groups},
    name::FunctionName,
};

/// Share of every function that is rejected in a turn, and how much more if that is nothing.
const REJECTED: f64 = 0.05;
const MORE: f64 = 0.01;
/// Minutes in which the load is greatest.
const STRESS: std::ops::Range<usize> = 2..4;

/// What a strategy does to an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedOutcome {
    pub strategy: PredictedStrategy,
    /// By minute and node.
    pub sent: Vec<Vec<Sent>>,
    /// By minute and function of `functions`.
    pub success_rates: Vec<Vec<f64>>,
    /// Nodes whose load was too much before anything was rejected, by minute.
    pub overloaded_nodes: Vec<usize>,
    pub indices: Indices,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Indices {
    /// Percent.
    pub mean_success_rate: f64,
    pub median_success_rate: f64,
    pub stress_mean_success_rate: f64,
    pub stress_median_success_rate: f64,
    pub mean_node_power_uw: f64,
    pub max_node_power_uw: f64,
    /// Rates, summed over the minutes.
    pub rejected: f64,
}

impl Indices {
    pub const NAMES: [&str; 7] = [
        "mean_success_rate",
        "median_success_rate",
        "stress_mean_success_rate",
        "stress_median_success_rate",
        "mean_node_power_uw",
        "max_node_power_uw",
        "rejected",
    ];

    /// In the order of the names.
    pub fn values(&self) -> [f64; 7] {
        [
            self.mean_success_rate,
            self.median_success_rate,
            self.stress_mean_success_rate,
            self.stress_median_success_rate,
            self.mean_node_power_uw,
            self.max_node_power_uw,
            self.rejected,
        ]
    }

    pub fn from_values(values: [f64; 7]) -> Self {
        let [mean_success_rate, median_success_rate, stress_mean_success_rate, ..] = values;
        let [.., stress_median_success_rate, mean_node_power_uw, max_node_power_uw, rejected] = values;
        Self {
            mean_success_rate,
            median_success_rate,
            stress_mean_success_rate,
            stress_median_success_rate,
            mean_node_power_uw,
            max_node_power_uw,
            rejected,
        }
    }
}

/// All functions of an instance, in alphabetical order.
pub fn functions(instance: &Instance) -> Vec<FunctionName> {
    let mut all: Vec<_> = instance.nodes.iter().flat_map(|node| node.functions.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

/// Runs a strategy, with the original's slips if `compat`, and analyses what comes of it.
pub fn evaluate(
    instance: &Instance,
    model: &NodeModel,
    groups: &Groups,
    (strategy, compat): (PredictedStrategy, bool),
) -> Result<PredictedOutcome, ForecastError> {
    let functions = functions(instance);
    let minutes = (0..MINUTES).into_par_iter().map(|minute| {
        let margins = margins(instance, minute, model, groups, strategy);
        let from = |node| send(instance, (minute, node), model, groups, (strategy, compat), &margins);
        let sent = (0..instance.nodes.len()).into_par_iter().map(from).collect::<Result<Vec<_>, _>>()?;
        let served = serve(instance, &functions, &sent, model, groups, strategy);
        Ok((sent, served))
    });
    let (sent, served): (Vec<_>, Vec<_>) = minutes.collect::<Result<Vec<_>, ForecastError>>()?.into_iter().unzip();
    let success_rates: Vec<Vec<f64>> = served.iter().map(Served::success_rates).collect();
    Ok(PredictedOutcome {
        strategy,
        sent,
        indices: indices(&served, &success_rates),
        success_rates,
        overloaded_nodes: served.iter().map(|minute| minute.overloaded_nodes).collect(),
    })
}

/// A minute after forwarding.
struct Served {
    /// By function: what arrived anywhere, and what was rejected there.
    total: Vec<u64>,
    rejected: Vec<u64>,
    power: Vec<f64>,
    overloaded_nodes: usize,
}

impl Served {
    fn success_rates(&self) -> Vec<f64> {
        let rate = |(total, rejected): (&u64, &u64)| match total {
            0 => 1.0,
            total => (total - rejected) as f64 / *total as f64,
        };
        self.total.iter().zip(&self.rejected).map(rate).collect()
    }
}

fn serve(
    instance: &Instance,
    functions: &[FunctionName],
    sent: &[Sent],
    model: &NodeModel,
    groups: &Groups,
    strategy: PredictedStrategy,
) -> Served {
    let count = functions.len();
    let mut arrived = vec![vec![0_u32; count]; instance.nodes.len()];
    for (node, flows) in instance.nodes.iter().zip(sent) {
        let place = |function: usize| functions.binary_search(&node.functions[function]).unwrap_or_default();
        let places: Vec<_> = (0..node.functions.len()).map(place).collect();
        for flow in flows {
            arrived[flow.to][places[flow.function]] += flow.rate;
        }
    }
    let mut served = Served {
        total: vec![0; count],
        rejected: vec![0; count],
        power: Vec::with_capacity(arrived.len()),
        overloaded_nodes: 0,
    };
    for (node, arrived) in instance.nodes.iter().zip(arrived) {
        let mut kept = arrived.clone();
        for (kept, function) in kept.iter_mut().zip(functions).filter(|(_, function)| !node.runs(function)) {
            debug_assert!(!node.functions.contains(function));
            *kept = 0;
        }
        let bearable = Bearable { model, kind: node.kind, save_power: strategy.saves_power() };
        served.overloaded_nodes += usize::from(reject(&mut kept, functions, &bearable, groups));
        served.power.push(power(model, node.kind, functions, &kept, groups).power);
        for (function, (arrived, kept)) in arrived.iter().zip(kept).enumerate() {
            served.total[function] += u64::from(*arrived);
            served.rejected[function] += u64::from(arrived - kept);
        }
    }
    served
}

fn power(model: &NodeModel, kind: NodeType, functions: &[FunctionName], kept: &[u32], groups: &Groups) -> Usage {
    model.state(kind, groups.rates(functions.iter().zip(kept.iter().map(|rate| f64::from(*rate))))).usage
}

/// Takes away until the node can bear the rest. True if anything had to be.
fn reject(kept: &mut [u32], functions: &[FunctionName], bearable: &Bearable<'_>, groups: &Groups) -> bool {
    let mut turns = 0;
    let mut share = REJECTED;
    while bearable.exceeded(groups.rates(functions.iter().zip(kept.iter().map(|rate| f64::from(*rate))))) {
        turns += 1;
        let part = |rate: u32, share: f64| (share * f64::from(rate)).round_ties_even() as u32;
        while kept.iter().all(|rate| part(*rate, share) == 0) {
            if kept.iter().all(|rate| *rate == 0) {
                return true;
            }
            share += MORE;
        }
        for rate in kept.iter_mut() {
            *rate -= part(*rate, share);
        }
    }
    turns > 0
}

fn indices(served: &[Served], success_rates: &[Vec<f64>]) -> Indices {
    let all: Vec<f64> = success_rates.concat();
    let stress: Vec<f64> = success_rates[STRESS].concat();
    let power: Vec<f64> = served.iter().flat_map(|minute| minute.power.iter().copied()).collect();
    Indices {
        mean_success_rate: mean(&all) * 100.0,
        median_success_rate: median(&all) * 100.0,
        stress_mean_success_rate: mean(&stress) * 100.0,
        stress_median_success_rate: median(&stress) * 100.0,
        mean_node_power_uw: mean(&power),
        max_node_power_uw: power.iter().copied().fold(0.0, f64::max),
        rejected: served.iter().flat_map(|minute| &minute.rejected).sum::<u64>() as f64,
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 1.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 1.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}
