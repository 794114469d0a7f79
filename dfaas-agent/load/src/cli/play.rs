//! What all commands that play a load share: their arguments, and the way from attacks to an exit code.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    engine::{Limits, Played, play},
    health::{Tries, wait},
    live::Live,
    outputs::{self, Summaries, Wanted},
    plan::expected,
    record::Record,
    report,
    scenario::Scenario,
    summary::Tally,
    units,
};
use dfaas_base::command::runtime;

/// How a load is played, and what becomes of the results.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Play {
    /// Where results are written; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
    /// No charts
    #[arg(long)]
    no_plots: bool,
    /// Print the summary as JSON instead of a report
    #[arg(long)]
    json: bool,
    /// Base URL of a node whose /healthz must say 200 first; may be repeated [default: those of the targets]
    #[arg(long, value_name = "URL")]
    wait_for: Vec<String>,
    /// Do not wait for /healthz
    #[arg(long)]
    no_wait: bool,
    /// How often /healthz is asked
    #[arg(long, value_name = "N", default_value_t = 25)]
    wait_tries: u32,
    /// Time between two tries
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10s")]
    wait_apart: Duration,
    #[command(flatten)]
    in_flight: InFlight,
}

#[derive(Debug, Args)]
pub(super) struct InFlight {
    /// Requests under way at one time; arrivals beyond are counted as not sent
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_in_flight: usize,
}

impl Play {
    /// Waits, plays, writes and prints; the exit code says whether all thresholds were met. Without `charts` there are none,
    /// whatever the arguments; with `phases` the table tells the two phases of a trace that is played twice.
    pub(super) fn perform(&self, scenario: &Scenario, charts: bool, phases: bool) -> Result<ExitCode> {
        if let Some(folder) = &self.out {
            outputs::prepare(folder, self.force)?;
        }
        let runtime = runtime()?;
        if !self.no_wait {
            let tries = Tries { count: self.wait_tries, apart: self.wait_apart, ..Tries::default() };
            runtime.block_on(wait_for(&self.nodes(scenario), tries))?;
        }
        runtime.block_on(pause(scenario.wait));
        let mut live = Live::new(scenario.attacks.iter().map(|attack| expected(&attack.stages)).sum());
        let limits = self.in_flight.limits(&runtime)?;
        let played = runtime.block_on(play(&scenario.attacks, &limits, |record| live.see(record)))?;
        live.finish();
        self.finish(scenario, &played, Wanted { charts: charts && !self.no_plots, phases })
    }

    fn finish(&self, scenario: &Scenario, played: &Played, wanted: Wanted) -> Result<ExitCode> {
        if let Some(folder) = &self.out {
            outputs::write(folder, &played.records, wanted)?;
        }
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        if self.json {
            println!("{}", serde_json::to_string_pretty(&Summaries::of(&played.records))?);
        } else {
            print!("{}", texts(scenario, &played.records));
        }
        let missed = missed(scenario, &played.records);
        #[allow(clippy::print_stderr, reason = "the answer to the command is JSON, perhaps")]
        for text in &missed {
            eprintln!("{text}");
        }
        Ok(ExitCode::from(u8::from(!missed.is_empty())))
    }

    /// Those that are named, else one for each host of a target.
    fn nodes(&self, scenario: &Scenario) -> Vec<String> {
        if !self.wait_for.is_empty() {
            return self.wait_for.iter().map(|node| node.trim_end_matches('/').to_owned()).collect();
        }
        if !scenario.nodes.is_empty() {
            return scenario.nodes.clone();
        }
        let mut nodes: Vec<String> =
            scenario.attacks.iter().flat_map(|attack| &attack.targets).map(|target| target.beside("")).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }
}

impl InFlight {
    /// Ctrl-C ends the sending; what is under way comes to its end, and the results are those until then.
    pub(super) fn limits(&self, runtime: &tokio::runtime::Runtime) -> Result<Limits> {
        // Every request under way may have a connection.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of open files")?;
        let stop = Arc::new(AtomicBool::new(false));
        let sign = Arc::clone(&stop);
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                sign.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        Ok(Limits { in_flight: self.max_in_flight, stop })
    }
}

/// A report of each attack, and of all if there are several.
fn texts(scenario: &Scenario, records: &[Record]) -> String {
    let of = |name: &str| Tally::of(records.iter().filter(|record| &*record.attack == name));
    let several = scenario.attacks.len() > 1;
    let title = |name: &str| if several { format!("── {name}\n") } else { String::new() };
    let each = scenario.attacks.iter().map(|attack| title(&attack.name) + &report::text(&of(&attack.name)));
    let all = several.then(|| title("all attacks") + &report::text(&Tally::of(records)));
    each.chain(all).collect::<Vec<_>>().join("\n")
}

fn missed(scenario: &Scenario, records: &[Record]) -> Vec<String> {
    let all = Tally::of(records);
    let mut missed: Vec<String> = scenario.thresholds.iter().filter_map(|threshold| threshold.missed(&all)).collect();
    for (attack, thresholds) in scenario.attacks.iter().zip(&scenario.attack_thresholds) {
        let tally = Tally::of(records.iter().filter(|record| *record.attack == *attack.name));
        let of = thresholds.iter().filter_map(|threshold| threshold.missed(&tally));
        missed.extend(of.map(|text| format!("{}: {text}", attack.name)));
    }
    missed
}

async fn wait_for(nodes: &[String], tries: Tries) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message(format!("waiting for {} nodes", nodes.len()));
    spinner.enable_steady_tick(Duration::from_millis(200));
    let done = wait(nodes, tries, |text| spinner.set_message(text)).await;
    spinner.finish_and_clear();
    done
}

async fn pause(time: Duration) {
    let bar = ProgressBar::new(time.as_secs());
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} s until the first attack");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let end = tokio::time::Instant::now() + time;
    while let Some(left) = end.checked_duration_since(tokio::time::Instant::now()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        bar.inc(1);
    }
    bar.finish_and_clear();
}
