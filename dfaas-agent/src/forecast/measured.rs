//! Costs per call measured on this very node, no training needed: what it uses is its idle load plus, for each function,
//! cost × rate. A function with accounting of its own is measured by that; what remains is fitted over the whole node.
//!
//! Pure: samples are passed in. A peer's load is priced as if this node had to serve it.

mod fit;
mod reading;
mod rms;

use std::collections::BTreeMap;

pub use self::reading::{BadSample, MetricReading, Reading};
use self::{
    fit::Fit,
    reading::{Metric, check, usable},
    rms::Rms,
};
use super::{ForecastError, Forecaster, Load, NodeType, Usage};
use crate::name::FunctionName;

/// Before this many samples there is no forecast.
const MIN_SAMPLES: u64 = 10;

/// How good the forecasts are: root of the mean squared error of each sample's prediction before it was learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Quality {
    pub samples: u64,
    pub cpu_rms: Option<f64>,
    pub ram_rms: Option<f64>,
    pub power_rms: Option<f64>,
}

/// The learned costs. Clone it to forecast elsewhere while this one learns on.
#[derive(Clone, Debug)]
pub struct Measured {
    memory_samples: u32,
    /// Inputs 1… of the fits of the node.
    functions: Vec<Known>,
    /// CPU, RAM and power that no function's own accounting explains.
    rest: [Fit; 3],
    errors: [Rms; 3],
}

/// A deployed function.
#[derive(Clone, Debug)]
struct Known {
    name: FunctionName,
    called: bool,
    /// By its own accounting; `None` until there is one.
    own: [Option<Fit>; 3],
}

impl Measured {
    /// A change of costs is learned over about `memory_samples`, if the rates change meanwhile.
    pub fn new(memory_samples: u32) -> Self {
        Self {
            memory_samples,
            functions: Vec::new(),
            rest: std::array::from_fn(|_| Fit::new(0, memory_samples)),
            errors: std::array::from_fn(|_| Rms::new(memory_samples)),
        }
    }

    /// Takes what was used while the functions deployed here were executed at `rates`. Others are forgotten.
    pub fn learn(&mut self, reading: &Reading, rates: &BTreeMap<FunctionName, f64>) -> Result<(), BadSample> {
        check(reading, rates)?;
        self.follow(rates);
        let inputs: Vec<f64> = std::iter::once(1.0).chain(self.functions.iter().map(|f| rates[&f.name])).collect();
        for metric in Metric::ALL {
            let Some(value) = reading.node.get(metric) else { continue };
            let index = metric as usize;
            if self.rest[index].samples() > 0 {
                let predicted = self.total(metric, &inputs);
                self.errors[index].add(value - predicted);
            }
            let explained = self.learn_own(metric, reading, &inputs);
            self.rest[index].learn(&inputs, value - explained);
        }
        Ok(())
    }

    /// Idle load of the node with the functions deployed now.
    pub fn idle(&self) -> Usage {
        self.usage_at(&self.inputs(|_| 0.0))
    }

    /// What one call per second of each function costs. Functions never called are left out.
    pub fn costs(&self) -> BTreeMap<FunctionName, Usage> {
        let cost = |i: usize, metric| self.cost(i, metric);
        let called = self.functions.iter().enumerate().filter(|(_, f)| f.called);
        called
            .map(|(i, f)| {
                let usage =
                    Usage { cpu: cost(i, Metric::Cpu), ram: cost(i, Metric::Ram), power: cost(i, Metric::Power) };
                (f.name.clone(), usage)
            })
            .collect()
    }

    pub fn quality(&self) -> Quality {
        let [cpu_rms, ram_rms, power_rms] = self.errors.each_ref().map(Rms::value);
        Quality { samples: self.rest[Metric::Cpu as usize].samples(), cpu_rms, ram_rms, power_rms }
    }

    /// False: the power in every forecast is 0, because none was ever read.
    pub fn knows_power(&self) -> bool {
        self.rest[Metric::Power as usize].samples() >= MIN_SAMPLES
    }

    /// Makes the inputs those of `rates`.
    fn follow(&mut self, rates: &BTreeMap<FunctionName, f64>) {
        for i in (0..self.functions.len()).rev() {
            if !rates.contains_key(&self.functions[i].name) {
                self.functions.remove(i);
                self.rest.iter_mut().for_each(|fit| fit.remove_input(i + 1));
            }
        }
        for (name, rate) in rates {
            if let Some(known) = self.functions.iter_mut().find(|f| f.name == *name) {
                known.called |= *rate > 0.0;
            } else {
                self.functions.push(Known { name: name.clone(), called: *rate > 0.0, own: [const { None }; 3] });
                self.rest.iter_mut().for_each(Fit::add_input);
            }
        }
    }

    /// Learns from the functions' own accounting; returns how much of the node's value it explains.
    fn learn_own(&mut self, metric: Metric, reading: &Reading, inputs: &[f64]) -> f64 {
        let mut explained = 0.0;
        for (i, known) in self.functions.iter_mut().enumerate() {
            let rate = inputs[i + 1];
            let own = reading.functions.get(&known.name).and_then(|own| own.get(metric));
            match (own, &mut known.own[metric as usize]) {
                (Some(value), Some(fit)) => {
                    fit.learn(&[1.0, rate], value);
                    explained += value;
                }
                (Some(value), none @ None) => {
                    let fit = none.insert(Fit::new(1, self.memory_samples));
                    fit.learn(&[1.0, rate], value);
                    explained += value;
                    // What the rest had learned of this function so far is now counted here.
                    let rest = &mut self.rest[metric as usize];
                    rest.forget_input(i + 1);
                }
                (None, Some(fit)) => explained += fit.predict(&[1.0, rate]),
                (None, None) => {}
            }
        }
        explained
    }

    fn total(&self, metric: Metric, inputs: &[f64]) -> f64 {
        let own = self.functions.iter().zip(&inputs[1..]).filter_map(|(f, rate)| {
            let fit = f.own[metric as usize].as_ref()?;
            Some(fit.predict(&[1.0, *rate]))
        });
        self.rest[metric as usize].predict(inputs) + own.sum::<f64>()
    }

    fn cost(&self, function: usize, metric: Metric) -> f64 {
        let own = self.functions[function].own[metric as usize].as_ref().map_or(0.0, |fit| fit.costs()[1]);
        own + self.rest[metric as usize].costs()[function + 1]
    }

    fn inputs(&self, rate: impl Fn(&FunctionName) -> f64) -> Vec<f64> {
        std::iter::once(1.0).chain(self.functions.iter().map(|f| rate(&f.name))).collect()
    }

    fn usage_at(&self, inputs: &[f64]) -> Usage {
        let total = |metric| self.total(metric, inputs);
        Usage { cpu: total(Metric::Cpu), ram: total(Metric::Ram), power: total(Metric::Power) }
    }

    /// For a call whose cost nobody has seen: that of the dearest function, so that no node is taken for emptier than
    /// it will be.
    fn dearest(&self, metric: Metric) -> f64 {
        let called = self.functions.iter().enumerate().filter(|(_, f)| f.called);
        called.map(|(i, _)| self.cost(i, metric)).fold(0.0, f64::max)
    }
}

impl Forecaster for Measured {
    fn usage(&self, _node: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError> {
        for metric in [Metric::Cpu, Metric::Ram] {
            let samples = self.rest[metric as usize].samples();
            if samples < MIN_SAMPLES {
                let name = metric.name();
                return Err(ForecastError(format!(
                    "measured costs: {samples} samples of {name}, expected {MIN_SAMPLES}"
                )));
            }
        }
        let mut inputs = self.inputs(|_| 0.0);
        let mut unseen = 0.0;
        for (name, rate) in load.functions {
            if !usable(*rate) {
                return Err(ForecastError(format!("rate of {name} is {rate}: expected a number that is not negative")));
            }
            match self.functions.iter().position(|f| f.called && f.name == *name) {
                Some(i) => inputs[i + 1] += rate,
                None => unseen += rate,
            }
        }
        let mut usage = self.usage_at(&inputs);
        if unseen > 0.0 {
            usage.cpu += unseen * self.dearest(Metric::Cpu);
            usage.ram += unseen * self.dearest(Metric::Ram);
            usage.power += unseen * self.dearest(Metric::Power);
        }
        Ok(usage)
    }
}

#[cfg(test)]
mod tests;
