//! How full a node is, how much of it is offered to each peer, and when it has too much.

use super::{Exceeding, Metrics, Options};
use crate::forecast::{ForecastError, Forecaster, Load, NodeType, Usage};

/// By how much each of a node's metrics exceeds its limit: CPU, memory, power, and 1 if a classifier says "overloaded".
/// Only what is above 0 exceeds.
pub type Excess = [f64; 4];

/// Says by how much a load is too much for the deciding node.
pub trait Burden {
    fn excess(&self, load: &Load<'_>) -> Result<Excess, ForecastError>;
}

/// A node is overloaded if the forecast of any metric is above its limit.
pub struct Thresholds<'a> {
    pub node: NodeType,
    pub limits: Usage,
    pub forecaster: &'a dyn Forecaster,
}

impl Burden for Thresholds<'_> {
    fn excess(&self, load: &Load<'_>) -> Result<Excess, ForecastError> {
        let usage = self.forecaster.usage(self.node, load)?;
        let over = pairs(&usage, &self.limits).map(|(used, limit)| used - limit);
        Ok([over[0], over[1], over[2], 0.0])
    }
}

/// Share of its spare resources that a node offers to each of its common neighbours, in percentage points: 0 if a
/// metric is above its limit, if there is nobody to offer it to, and if usage or limits make no sense.
pub fn margin(usage: &Usage, limits: &Usage, common_neighbours: usize, options: &Options) -> f64 {
    let exceeds = pairs(usage, limits).iter().any(|(used, limit)| used > limit);
    if exceeds || common_neighbours == 0 {
        return 0.0;
    }
    let offered = (100.0 - percent(usage, limits, options)) / common_neighbours as f64;
    if offered > 0.0 { offered } else { 0.0 }
}

/// Usage in percent of the limits. Of a limit of 0 everything is used; a limit that is no number gives none.
pub fn percent(usage: &Usage, limits: &Usage, options: &Options) -> f64 {
    let all = pairs(usage, limits);
    let counted = match options.metrics {
        Metrics::All => &all[..],
        Metrics::WithoutPower => &all[..2],
        Metrics::Power => &all[2..],
    };
    if counted.iter().any(|(used, limit)| used > limit) {
        match options.exceeding {
            Exceeding::Averaged => {}
            Exceeding::Full => return 100.0,
            Exceeding::Refused => return f64::INFINITY,
        }
    }
    let of = |(used, limit): &(f64, f64)| if *limit == 0.0 { 100.0 } else { used * 100.0 / limit };
    counted.iter().map(of).sum::<f64>() / counted.len() as f64
}

fn pairs(usage: &Usage, limits: &Usage) -> [(f64, f64); 3] {
    [(usage.cpu, limits.cpu), (usage.ram, limits.ram), (usage.power, limits.power)]
}
