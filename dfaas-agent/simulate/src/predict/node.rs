//! The state of a node, as the trained models predict it, and what the node can bear.

use std::path::Path;

use dfaas_agent::{
    forecast::{
        ForecastError, Forecaster, GroupRates, Load, NodeType, Usage,
        folder::ModelFolder,
        models::{Family, OverloadModel, UsageModels, features},
    },
    strategy::node_margin::{Burden, Excess},
};

/// Share of the power limit that power saving allows.
const SAVING: f64 = 0.7;

/// Models of one family, and the classifier.
#[derive(Clone, Debug)]
pub struct NodeModel {
    usage: UsageModels,
    overload: OverloadModel,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub usage: Usage,
    pub overloaded: bool,
}

impl NodeModel {
    pub fn load(folder: &Path, family: Family) -> Result<Self, String> {
        let folder = ModelFolder::open(folder)?;
        Ok(Self { usage: UsageModels::load(&folder, family)?, overload: OverloadModel::load(&folder)? })
    }

    pub fn state(&self, kind: NodeType, rates: GroupRates) -> State {
        State { usage: self.usage.predict(&features(rates, kind)), overloaded: self.overloaded(kind, rates) }
    }

    pub fn overloaded(&self, kind: NodeType, rates: GroupRates) -> bool {
        self.overload.overloaded(&features(rates, kind))
    }

    fn power(&self, kind: NodeType, rates: GroupRates) -> f64 {
        self.usage.predict(&features(rates, kind)).power
    }
}

impl Forecaster for NodeModel {
    fn usage(&self, kind: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError> {
        self.usage.usage(kind, load)
    }
}

/// What the strategies and the analysis must keep: power saving counts power too.
#[derive(Clone, Copy, Debug)]
pub struct Bearable<'a> {
    pub model: &'a NodeModel,
    pub kind: NodeType,
    pub save_power: bool,
}

impl Bearable<'_> {
    pub fn exceeded(&self, rates: GroupRates) -> bool {
        self.model.overloaded(self.kind, rates) || (self.save_power && self.excess_power(rates) > 0.0)
    }

    fn excess_power(&self, rates: GroupRates) -> f64 {
        self.model.power(self.kind, rates) - limits(self.kind, self.save_power).power
    }
}

impl Burden for Bearable<'_> {
    fn excess(&self, load: &Load<'_>) -> Result<Excess, ForecastError> {
        let power = if self.save_power { self.excess_power(load.groups) } else { 0.0 };
        Ok([0.0, 0.0, power, f64::from(u8::from(self.model.overloaded(self.kind, load.groups)))])
    }
}

/// The most that a node of a kind may use.
pub fn limits(kind: NodeType, save_power: bool) -> Usage {
    let (cpu, ram, power) = match kind {
        NodeType::Heavy => (460.0, 6.0e9, 3.5e6),
        NodeType::Mid => (290.0, 5.5e9, 2.2e6),
        NodeType::Light => (150.0, 4.1e9, 0.7e6),
    };
    Usage { cpu, ram, power: if save_power { SAVING * power } else { power } }
}
