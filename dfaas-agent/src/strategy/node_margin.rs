//! Node margin: an overloaded node sends calls to peers as long as a forecast says that they have room.
//!
//! The live agent and the simulator run the same [`mod@exchange`]; where the original's two differ, [`Options`] has a name
//! for the difference.

mod exchange;
mod margin;
mod rotation;

use std::collections::{BTreeMap, BTreeSet};

pub use exchange::{Division, exchange};
pub use margin::{Burden, Excess, Thresholds, margin, percent};

use super::percentages;
use crate::{
    decision::Weights,
    forecast::{ForecastError, Forecaster, GroupRates, NodeType, Usage, groups::Groups},
    name::{FunctionName, NodeId},
};

/// The node that decides.
#[derive(Clone, Debug)]
pub struct Own<'a> {
    pub node: NodeType,
    /// Usage above which the node is overloaded.
    pub limits: Usage,
    /// What our own clients offer, by function.
    pub rates: BTreeMap<FunctionName, f64>,
    pub groups: &'a Groups,
}

/// What a peer has told us of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerMargin {
    pub node: NodeType,
    pub limits: Usage,
    /// How much more of its resources we may use, in percentage points.
    pub margin: f64,
    pub load: GroupRates,
    pub functions: BTreeSet<FunctionName>,
}

/// How calls are moved.
#[allow(clippy::struct_excessive_bools, reason = "each names one difference between the original's two arithmetics")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub metrics: Metrics,
    pub step: Step,
    /// What a metric above its limit means for a peer.
    pub exceeding: Exceeding,
    /// An increase that is exactly the margin is accepted.
    pub accept_equal: bool,
    /// Only functions and metrics are considered for which moving calls away changes the own forecast.
    pub only_what_relieves: bool,
    /// After a peer has refused a function, its turns all go to the last one it has left.
    pub stay_at_last: bool,
    /// A refused step leaves all but one call of it in the plan: the first slip of the original's simulator.
    pub refused_stays_planned: bool,
    /// The own forecast sees one call less, whatever the step was: the second slip.
    pub relief_of_one: bool,
    /// Percents are rounded one by one, and may not sum to 100.
    pub round_each: bool,
    /// Forecasts that may be asked for; what is planned by then stands.
    pub most_forecasts: usize,
}

/// Which metrics count as usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// The mean of the three.
    All,
    /// CPU and memory, where power cannot be measured.
    WithoutPower,
    /// Power alone.
    Power,
}

/// What it means that one of a node's metrics exceeds its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeding {
    /// Nothing: it goes into the mean.
    Averaged,
    /// The node counts as used to 100 %.
    Full,
    /// The node gets nothing that leads there.
    Refused,
}

/// How many calls a turn tries to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A share of the function's rate, halved when refused; the last one is refined.
    OfRate,
    /// A hundredth of what is still kept, until half a percent of the rate is left.
    OfKept,
    /// As before, in whole calls and to the end.
    WholeOfKept,
}

impl Options {
    /// The live agent's.
    pub const LIVE: Self = Self {
        metrics: Metrics::All,
        step: Step::OfRate,
        exceeding: Exceeding::Refused,
        accept_equal: true,
        only_what_relieves: true,
        stay_at_last: false,
        refused_stays_planned: false,
        relief_of_one: false,
        round_each: false,
        most_forecasts: 20_000,
    };

    /// The original agent's arithmetic. Its endless loops end here too.
    pub const COMPATIBLE: Self = Self {
        step: Step::OfKept,
        exceeding: Exceeding::Averaged,
        accept_equal: false,
        round_each: true,
        ..Self::LIVE
    };

    /// The original simulator's, without its slips. Whole calls end by themselves.
    pub const SIMULATED: Self = Self {
        step: Step::WholeOfKept,
        exceeding: Exceeding::Full,
        only_what_relieves: false,
        stay_at_last: true,
        most_forecasts: usize::MAX,
        ..Self::LIVE
    };
}

/// Where calls of our own clients go. Peers get only functions that they run; what cannot be moved stays here.
pub fn weigh(
    own: &Own<'_>,
    peers: &BTreeMap<NodeId, PeerMargin>,
    forecaster: &dyn Forecaster,
    options: &Options,
) -> Result<BTreeMap<FunctionName, Weights>, ForecastError> {
    let rates: Vec<_> =
        own.rates.iter().filter(|(_, rate)| **rate > 0.0 && rate.is_finite()).map(|(f, r)| (f.clone(), *r)).collect();
    let burden = Thresholds { node: own.node, limits: own.limits, forecaster };
    let asked: Vec<&PeerMargin> = peers.values().collect();
    let plan = exchange(&rates, own.groups, &asked, &burden, forecaster, options)?;
    let mut weights: BTreeMap<_, _> = own.rates.keys().map(|f| (f.clone(), Weights::local())).collect();
    for (i, (function, rate)) in rates.into_iter().enumerate() {
        let sent = peers.keys().zip(&plan.sent).map(|(id, sent)| (Some(id.clone()), sent[i]));
        let shares: BTreeMap<_, _> = sent.filter(|(_, calls)| *calls > 0.0).chain([(None, plan.kept[i])]).collect();
        let percents = if options.round_each {
            shares.into_iter().map(|(id, calls)| (id, (100.0 * calls / rate).round() as u32)).collect()
        } else {
            percentages(&shares)
        };
        let mut of_function = Weights::default();
        for (id, percent) in percents.into_iter().filter(|(_, percent)| *percent > 0) {
            match id {
                Some(id) => _ = of_function.peers.insert(id, percent),
                None => of_function.local = percent,
            }
        }
        weights.insert(function, of_function);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests;
