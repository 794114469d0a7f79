//! What a strategy sends where: for every minute and node a share of each function for itself and its neighbours.

use std::{fmt, str::FromStr};

use super::{
    instance::{Instance, Node},
    node::{Bearable, NodeModel, limits},
};
use dfaas_agent::{
    forecast::{ForecastError, groups::Groups},
    strategy::node_margin::{Metrics, Options, PeerMargin, exchange, margin},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PredictedStrategy {
    /// Everything stays.
    Base,
    /// What is too much goes to all neighbours in equal parts.
    Equal,
    NodeMargin,
    PowerSaving,
}

impl PredictedStrategy {
    pub const ALL: [Self; 4] = [Self::Base, Self::Equal, Self::NodeMargin, Self::PowerSaving];

    /// In tables, as in the original.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base_strategy",
            Self::Equal => "equal_strategy",
            Self::NodeMargin => "node_margin_strategy",
            Self::PowerSaving => "power_saving_strategy",
        }
    }

    pub const fn saves_power(self) -> bool {
        matches!(self, Self::PowerSaving)
    }

    /// `compat`: with the slips of the original's simulator.
    fn options(self, compat: bool) -> Options {
        match self {
            Self::PowerSaving => Options { metrics: Metrics::Power, relief_of_one: compat, ..Options::SIMULATED },
            _ => Options { refused_stays_planned: compat, ..Options::SIMULATED },
        }
    }
}

impl fmt::Display for PredictedStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PredictedStrategy {
    type Err = String;
    /// With or without the ending, with hyphens or underscores.
    fn from_str(s: &str) -> Result<Self, String> {
        let plain = s.replace('-', "_");
        let plain = plain.strip_suffix("_strategy").unwrap_or(&plain);
        let found = Self::ALL.into_iter().find(|strategy| strategy.name().strip_suffix("_strategy") == Some(plain));
        found.ok_or_else(|| format!("unknown strategy {s:?}: expected base, equal, node-margin or power-saving"))
    }
}

/// Calls per second of a function that a node serves for another, or for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Place of the function at the sender.
    pub function: usize,
    pub to: usize,
    pub rate: u32,
}

/// The flows of a node in a minute, also those of nothing.
pub type Sent = Vec<Flow>;

/// What nodes know of each other in a minute: each one's margin. Made once, used by all its neighbours.
pub fn margins(
    instance: &Instance,
    minute: usize,
    model: &NodeModel,
    groups: &Groups,
    strategy: PredictedStrategy,
) -> Vec<PeerMargin> {
    let options = strategy.options(false);
    let margin = |node: &Node| {
        let rates = node.group_rates(minute, groups);
        let limits = limits(node.kind, strategy.saves_power());
        let state = model.state(node.kind, rates);
        let common = node.neighbours.iter().filter(|n| instance.nodes[**n].shares_a_function(node)).count();
        let offered = if state.overloaded { 0.0 } else { margin(&state.usage, &limits, common, &options) };
        let functions = node.functions.iter().cloned().collect();
        PeerMargin { node: node.kind, limits, margin: round4(offered), load: rates, functions }
    };
    instance.nodes.iter().map(margin).collect()
}

/// The flows of one node in a minute. `margins` is needed by the strategies that ask for them.
pub fn send(
    instance: &Instance,
    (minute, place): (usize, usize),
    model: &NodeModel,
    groups: &Groups,
    (strategy, compat): (PredictedStrategy, bool),
    margins: &[PeerMargin],
) -> Result<Sent, ForecastError> {
    let node = &instance.nodes[place];
    let bearable = Bearable { model, kind: node.kind, save_power: strategy.saves_power() };
    let rates: Vec<_> = node.load(minute).map(|(function, rate)| (function.clone(), rate)).collect();
    let (kept, sent) = match strategy {
        PredictedStrategy::Base => (rates.iter().map(|(_, rate)| *rate).collect(), Vec::new()),
        PredictedStrategy::Equal => equal(node, minute, &bearable, groups),
        PredictedStrategy::NodeMargin | PredictedStrategy::PowerSaving => {
            // Asked in the order of the nodes, whatever the order in the file.
            let mut asked = node.neighbours.clone();
            asked.sort_unstable();
            let peers: Vec<_> = asked.iter().map(|n| &margins[*n]).collect();
            let mut plan = exchange(&rates, groups, &peers, &bearable, model, &strategy.options(compat))?;
            let place = |neighbour: &usize| asked.binary_search(neighbour).unwrap_or_default();
            let sent = node.neighbours.iter().map(|n| std::mem::take(&mut plan.sent[place(n)])).collect();
            (plan.kept, sent)
        }
    };
    let own = (place, &kept);
    let all = node.neighbours.iter().copied().zip(&sent).chain([own]);
    Ok(all
        .flat_map(|(to, calls)| {
            rates.iter().zip(calls).enumerate().map(move |(function, ((_, rate), calls))| Flow {
                function,
                to,
                rate: forwarded(*calls, *rate),
            })
        })
        .collect())
}

/// A share is written with four decimals, and only whole calls are sent: what that loses is lost.
fn forwarded(calls: f64, rate: f64) -> u32 {
    if rate > 0.0 { (round4(calls / rate) * rate) as u32 } else { 0 }
}

/// What stays, and what each neighbour gets, whether or not it runs the function.
fn equal(node: &Node, minute: usize, bearable: &Bearable<'_>, groups: &Groups) -> (Vec<f64>, Vec<Vec<f64>>) {
    let offered = &node.rates[minute];
    let mut kept: Vec<f64> = offered.iter().map(|rate| f64::from(*rate)).collect();
    if node.neighbours.is_empty() {
        return (kept, Vec::new());
    }
    let load = |kept: &[f64]| groups.rates(node.functions.iter().zip(kept.iter().copied()));
    while kept.iter().any(|calls| *calls > 0.0) && bearable.exceeded(load(&kept)) {
        for calls in &mut kept {
            *calls -= (0.01 * *calls).ceil();
        }
    }
    let count = node.neighbours.len() as u32;
    let share = |neighbour: usize, function: usize| {
        let removed = offered[function] - kept[function] as u32;
        f64::from(removed / count + if neighbour == 0 { removed % count } else { 0 })
    };
    let of = |neighbour| (0..offered.len()).map(|function| share(neighbour, function)).collect();
    let sent = (0..node.neighbours.len()).map(of).collect();
    (kept, sent)
}

fn round4(value: f64) -> f64 {
    (value * 1e4).round_ties_even() / 1e4
}
