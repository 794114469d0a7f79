//! What original agents tell everybody, by the strategy they run.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    decision::UNLIMITED,
    forecast::{GroupRates, Usage},
    name::FunctionName,
    p2p::message::{Load, MarginInfo, MaxValues, NodeMarginInfo},
    strategy::{MarginView, PeerFunction, PeerView, Strategy},
};

/// Original agents use a period of a minute unless told otherwise, and do not say which.
const ORIGINAL_PERIOD: Duration = Duration::from_mins(1);
/// What a message may be late.
const LATENESS: Duration = Duration::from_secs(3);

/// The last broadcast that meant something to us.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    /// Calls per second it accepts from us.
    Recalc(BTreeMap<FunctionName, f64>),
    NodeMargin {
        info: NodeMarginInfo,
        margin: Option<MarginInfo>,
    },
    Static(Vec<FunctionName>),
}

impl Heard {
    pub(super) fn strategy(&self) -> Strategy {
        match self {
            Self::Recalc(_) => Strategy::Recalc,
            Self::NodeMargin { .. } => Strategy::NodeMargin,
            Self::Static(_) => Strategy::Static,
        }
    }

    /// How long it holds: 1.2 periods of recalc, 2 of the others.
    pub(super) fn lifetime(&self, period: Duration) -> Duration {
        let period = period.max(ORIGINAL_PERIOD);
        let periods = if matches!(self, Self::Recalc(_)) { 1.2 } else { 2.0 };
        period.mul_f64(periods) + LATENESS
    }

    pub(super) fn names_anything(&self) -> bool {
        match self {
            Self::Recalc(limits) => !limits.is_empty(),
            Self::NodeMargin { info, .. } => !info.functions.is_empty(),
            Self::Static(functions) => !functions.is_empty(),
        }
    }

    pub(super) fn margin(&self) -> Option<MarginInfo> {
        match self {
            Self::NodeMargin { margin, .. } => *margin,
            Self::Recalc(_) | Self::Static(_) => None,
        }
    }

    pub(super) fn view(&self) -> PeerView {
        let accepts = |limit_out| PeerFunction { limit_out, excess: 0.0 };
        let all = |names: &[FunctionName]| names.iter().map(|name| (name.clone(), accepts(UNLIMITED))).collect();
        match self {
            Self::Recalc(limits) => PeerView {
                functions: limits.iter().map(|(name, limit)| (name.clone(), accepts(*limit))).collect(),
                margin: None,
            },
            Self::Static(functions) => PeerView { functions: all(functions), margin: None },
            Self::NodeMargin { info, margin } => PeerView {
                functions: all(&info.functions),
                margin: margin.as_ref().map(|margin| MarginView {
                    node_type: info.node_type,
                    thresholds: info.max_values.into(),
                    margin: margin.margin,
                    load: margin.load.into(),
                }),
            },
        }
    }
}

impl From<MaxValues> for Usage {
    fn from(max: MaxValues) -> Self {
        Self { cpu: max.cpu_percent, ram: max.ram_bytes, power: max.power_microwatts }
    }
}

impl From<Usage> for MaxValues {
    fn from(usage: Usage) -> Self {
        Self { cpu_percent: usage.cpu, ram_bytes: usage.ram, power_microwatts: usage.power }
    }
}

impl From<Load> for GroupRates {
    fn from(load: Load) -> Self {
        Self { high: load.high, low: load.low, medium: load.medium }
    }
}

impl From<GroupRates> for Load {
    fn from(rates: GroupRates) -> Self {
        Self { high: rates.high, low: rates.low, medium: rates.medium }
    }
}
