//! What this node uses, read from the kernel: CPU, memory, power, and functions by their control groups.
//!
//! What cannot be read is `None` and said once; the paths are parameters, so that tests can make a tree of their own.

mod cpu;
mod energy;
mod file;
mod functions;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use self::{cpu::CpuTimes, energy::Energy, functions::Functions};
use super::measured::{MetricReading, Reading};
use crate::name::FunctionName;

/// Where the kernel tells.
#[derive(Clone, Debug)]
pub struct Paths {
    pub proc: PathBuf,
    pub powercap: PathBuf,
    /// A cgroup (v2) in which each function has one of its own, by its name. faasd names it `openfaas-fn`.
    pub functions: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            powercap: PathBuf::from("/sys/class/powercap"),
            functions: PathBuf::from("/sys/fs/cgroup/openfaas-fn"),
        }
    }
}

/// Reads the node. CPU and power are differences, so they are known from the second reading on.
#[derive(Debug)]
pub struct NodeState {
    paths: Paths,
    cpu: Option<CpuTimes>,
    energy: Option<(Instant, Energy)>,
    functions: Functions,
    /// Said already; taken out when it works again.
    said: BTreeSet<String>,
}

impl NodeState {
    pub fn new(paths: Paths) -> Self {
        let functions = Functions::new(paths.functions.clone());
        Self { paths, cpu: None, energy: None, functions, said: BTreeSet::new() }
    }

    /// Reads everything. `run_here` is CPU time of functions that the agent itself has run, which have no cgroup.
    /// A few small files: some tens of microseconds per function.
    pub fn read<'a>(
        &mut self,
        now: Instant,
        functions: impl IntoIterator<Item = &'a FunctionName>,
        run_here: &BTreeMap<FunctionName, Duration>,
    ) -> Reading {
        let mut problems = BTreeSet::new();
        let mut noted = |outcome: Result<Option<f64>, String>| {
            outcome.unwrap_or_else(|problem| {
                problems.insert(problem);
                None
            })
        };
        let cpu = noted(self.read_cpu());
        let ram = noted(file::memory_used(&self.paths.proc).map(Some));
        let power = noted(self.read_power(now));
        self.say(problems);
        let functions = self.functions.read(now, functions, run_here);
        Reading { node: MetricReading { cpu, ram, power }, functions }
    }

    /// What cannot be read at the moment, each with its path.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(String::as_str)
    }

    fn read_cpu(&mut self) -> Result<Option<f64>, String> {
        let now = CpuTimes::read(&self.paths.proc);
        let before = std::mem::replace(&mut self.cpu, now.as_ref().ok().copied());
        let now = now?;
        Ok(before.and_then(|before| now.percent_since(&before)))
    }

    fn read_power(&mut self, now: Instant) -> Result<Option<f64>, String> {
        let energy = Energy::read(&self.paths.powercap);
        let before = std::mem::replace(&mut self.energy, energy.as_ref().ok().map(|energy| (now, energy.clone())));
        let energy = energy?;
        Ok(before.and_then(|(then, before)| {
            let seconds = now.saturating_duration_since(then).as_secs_f64();
            Some(energy.microjoules_since(&before)? / seconds).filter(|power| power.is_finite())
        }))
    }

    fn say(&mut self, problems: BTreeSet<String>) {
        for problem in problems.difference(&self.said) {
            tracing::warn!("{problem}");
        }
        self.said = problems;
    }
}

#[cfg(test)]
mod tests;
