//! A scenario on a running federation.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::status::Status;

use super::{Report, Scenario, Source, Split, Step, judge};
use crate::{
    client::{Call, Connections, Load, Running, Tally},
    federation::Federation,
};

/// For one call.
const TIMEOUT: Duration = Duration::from_secs(8);
const TEXT: &str = "hello";

/// The state of affairs, once a second.
pub struct Moment<'a> {
    pub statuses: &'a [(&'a str, Status)],
    /// All calls so far.
    pub tally: &'a Tally,
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Length of every step, instead of its own.
    pub seconds: Option<u64>,
    /// At the start, in which the nodes still learn of the load: they are not judged.
    pub settling_seconds: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { seconds: None, settling_seconds: 2 }
    }
}

/// Runs it to its end or until `tick` returns false.
pub fn run(
    federation: &Federation,
    scenario: &'static Scenario,
    pace: Pace,
    tick: &mut dyn FnMut(&Moment<'_>) -> Result<bool>,
) -> Result<Report> {
    let (nodes, needed) = (federation.nodes.len(), scenario.nodes());
    ensure!(nodes >= needed, "scenario {} takes {needed} nodes, the federation has {nodes}", scenario.name);
    let mut report = Report::new(federation, scenario);
    let mut agreed = Agreed::default();
    for step in scenario.steps {
        let seconds = Duration::from_secs(pace.seconds.unwrap_or(step.seconds));
        let loads = start(federation, step, seconds)?;
        let started = Instant::now();
        let mut go_on = true;
        for n in 1.. {
            wait_until(started + Duration::from_secs(n), &loads);
            let statuses = federation.statuses()?;
            if let Some(source) = scenario.judged()
                && (pace.settling_seconds as u64..seconds.as_secs()).contains(&n)
            {
                agreed.add(federation, source, &statuses)?;
            }
            let mut tally = Tally::default();
            for load in &loads {
                tally.merge(&load.tally());
            }
            go_on = tick(&Moment { statuses: &statuses, tally: &tally })?;
            if !go_on || (started.elapsed() >= seconds && loads.iter().all(Running::is_finished)) {
                break;
            }
        }
        for (source, load) in step.sources.iter().zip(loads) {
            report.add(source, load.stop()?);
        }
        report.next_step();
        if !go_on {
            report.interrupted = true;
            return Ok(report);
        }
    }
    if let Some(source) = scenario.judged() {
        let split = agreed.split(source)?;
        let tally = report.tally();
        let ids: Vec<_> = federation.nodes.iter().map(|node| &node.id).collect();
        let expected =
            judge(&tally, pace.settling_seconds, &split, report.names(), |second, i| second.served_by(ids[i]));
        report.judged = Some((split, expected));
    }
    Ok(report)
}

fn start(federation: &Federation, step: &Step, duration: Duration) -> Result<Vec<Running>> {
    let client = federation.client()?;
    let start = |source: &Source| {
        let url = federation.url(source.node, &format!("/function/{}", source.function));
        let call = Call::post(url, TEXT).timeout(TIMEOUT);
        Load { call, rate: source.rate, duration: Some(duration), connections: Connections::PerCall }.start(&client)
    };
    step.sources.iter().map(start).collect()
}

/// Waits for a moment, or less if all loads have ended.
fn wait_until(moment: Instant, loads: &[Running]) {
    while let Some(left) = moment.checked_duration_since(Instant::now()) {
        if !loads.is_empty() && loads.iter().all(Running::is_finished) {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(20)));
    }
}

/// What the nodes agreed on, averaged over the judged seconds.
#[derive(Default)]
struct Agreed {
    samples: f64,
    limit: f64,
    grants: Vec<f64>,
}

impl Agreed {
    fn add(&mut self, federation: &Federation, source: &Source, statuses: &[(&str, Status)]) -> Result<()> {
        let (name, status) = &statuses[source.node];
        let function = status.functions.iter().find(|(function, _)| function.as_str() == source.function);
        let (_, function) = function.with_context(|| format!("{name} knows no function {}", source.function))?;
        self.samples += 1.0;
        self.limit += function.limit.unwrap_or(source.rate);
        self.grants.resize(federation.nodes.len(), 0.0);
        for (sum, node) in self.grants.iter_mut().zip(&federation.nodes) {
            *sum += function.limits_out.get(&node.id).copied().unwrap_or(0.0);
        }
        Ok(())
    }

    fn split(&self, source: &Source) -> Result<Split> {
        ensure!(self.samples > 0.0, "the scenario was too short to see what the nodes had agreed on");
        let grants = self.grants.iter().map(|sum| sum / self.samples).collect();
        Ok(Split { entry: source.node, rate: source.rate, limit: self.limit / self.samples, grants })
    }
}
