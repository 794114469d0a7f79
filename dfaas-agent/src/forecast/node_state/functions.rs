//! What each function uses by its own accounting: the cgroup of its containers, or the processes the agent has run.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::file;
use crate::{forecast::measured::MetricReading, name::FunctionName};

#[derive(Debug)]
pub(super) struct Functions {
    cgroup: PathBuf,
    /// CPU time at the last reading.
    last: BTreeMap<FunctionName, (Instant, Duration)>,
}

impl Functions {
    pub(super) fn new(cgroup: PathBuf) -> Self {
        Self { cgroup, last: BTreeMap::new() }
    }

    /// Functions without any accounting are left out; that is usual and no error.
    pub(super) fn read<'a>(
        &mut self,
        now: Instant,
        functions: impl IntoIterator<Item = &'a FunctionName>,
        run_here: &BTreeMap<FunctionName, Duration>,
    ) -> BTreeMap<FunctionName, MetricReading> {
        let mut last = BTreeMap::new();
        let mut readings = BTreeMap::new();
        for name in functions {
            let folder = self.cgroup.join(name.as_str());
            let cpu_time = match run_here.get(name) {
                Some(time) => Some(*time),
                None => file::field(&folder.join("cpu.stat"), "usage_usec").ok().map(Duration::from_micros),
            };
            let ram = match run_here.get(name) {
                // Processes that come and go with each call: their memory shows in the node's alone.
                Some(_) => None,
                None => file::number(&folder.join("memory.current")).ok().map(|bytes| bytes as f64),
            };
            let cpu = cpu_time.and_then(|time| self.percent(name, now, time));
            last.extend(cpu_time.map(|time| (name.clone(), (now, time))));
            if cpu.is_some() || ram.is_some() {
                readings.insert(name.clone(), MetricReading { cpu, ram, power: None });
            }
        }
        self.last = last;
        readings
    }

    /// `None` for the first reading and if the count began anew with a new container.
    fn percent(&self, name: &FunctionName, now: Instant, time: Duration) -> Option<f64> {
        let (then, before) = self.last.get(name)?;
        let used = time.checked_sub(*before)?.as_secs_f64();
        Some(100.0 * used / now.saturating_duration_since(*then).as_secs_f64()).filter(|percent| percent.is_finite())
    }
}
