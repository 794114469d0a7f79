//! What is learned from: readings of the node and of its functions, refused if they are no numbers.

use std::{collections::BTreeMap, fmt};

use crate::name::FunctionName;

/// What a node used over the time since the reading before. What could not be read is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub node: MetricReading,
    /// By the functions' own accounting, where there is one.
    pub functions: BTreeMap<FunctionName, MetricReading>,
}

/// In the units of [`Usage`](crate::forecast::Usage).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MetricReading {
    pub cpu: Option<f64>,
    pub ram: Option<f64>,
    pub power: Option<f64>,
}

impl MetricReading {
    pub(super) fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Cpu => self.cpu,
            Metric::Ram => self.ram,
            Metric::Power => self.power,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Metric {
    Cpu,
    Ram,
    Power,
}

impl Metric {
    pub(super) const ALL: [Self; 3] = [Self::Cpu, Self::Ram, Self::Power];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Ram => "ram",
            Self::Power => "power",
        }
    }
}

/// A sample that was refused; nothing was learned from it.
#[derive(Clone, Debug, PartialEq)]
pub struct BadSample {
    what: String,
    value: f64,
}

impl fmt::Display for BadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}: expected a number that is not negative", self.what, self.value)
    }
}

impl std::error::Error for BadSample {}

pub(super) fn usable(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

pub(super) fn check(reading: &Reading, rates: &BTreeMap<FunctionName, f64>) -> Result<(), BadSample> {
    let bad = |what: String, value: f64| if usable(value) { Ok(()) } else { Err(BadSample { what, value }) };
    for (name, rate) in rates {
        bad(format!("rate of {name}"), *rate)?;
    }
    for metric in Metric::ALL {
        if let Some(value) = reading.node.get(metric) {
            bad(format!("{} of the node", metric.name()), value)?;
        }
        for (name, own) in &reading.functions {
            if let Some(value) = own.get(metric) {
                bad(format!("{} of {name}", metric.name()), value)?;
            }
        }
    }
    Ok(())
}
