//! The command `federation overlay`: many overlays in one process, how long they take to know each other, and what an
//! agent then pays for it.
//!
//! Each is the agent's own libp2p node on loopback. What the agent around it would say (a state to each peer, a
//! broadcast to all) is said at its pace and in its size; strategies, data planes and functions are left out.

mod crowd;
mod member;
mod report;
mod usage;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use self::{crowd::Crowd, usage::Usage};
pub use self::{member::Pace, report::Report};
use crate::{
    emulator::progress::Progress,
    federation::{Which, lease::Lease, remove_leftovers},
    netns::Namespace,
    stop::Stop,
    view,
};

/// For the pace to be that which is measured.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Args, Clone, Debug)]
pub struct OverlayArgs {
    /// How many agents; several numbers are measured one after another
    #[arg(long, value_name = "N,…", default_value = "60", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(2..=500))]
    nodes: Vec<u16>,
    /// How long to measure, once all know all
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Functions on each node
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=256))]
    functions: u16,
    /// Seconds between two broadcasts of an agent (AGENT_RECALC_PERIOD); 0: none while it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    period: u64,
    /// Seconds between two states to each peer (AGENT_HEARTBEAT); 0: none while it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    heartbeat: u64,
    /// Seconds after which it is given up that all know all
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// Results as JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl OverlayArgs {
    fn options(&self, nodes: u16, stop: &Stop) -> Options {
        let every = |seconds| (seconds > 0).then(|| Duration::from_secs(seconds));
        Options {
            nodes: nodes.into(),
            functions: self.functions.into(),
            pace: Pace { period: every(self.period), heartbeat: every(self.heartbeat) },
            duration: Duration::from_secs(self.seconds),
            patience: Duration::from_secs(self.patience),
            stop: stop.clone(),
        }
    }
}

pub fn run(args: &OverlayArgs) -> Result<ExitCode> {
    ensure!(nix::unistd::geteuid().is_root(), "not root: bytes are counted in a network namespace, which needs it");
    let stop = Stop::on_signals()?;
    remove_leftovers(&Which::Dead)?;
    let mut reports = Vec::new();
    for nodes in &args.nodes {
        let progress = Progress::new();
        let report = measure(&args.options(*nodes, &stop), &|text| progress.say(text))?;
        if args.json {
            view::print(&serde_json::to_string(&report)?)?;
        }
        reports.push(report);
    }
    if !args.json {
        view::print(&report::table(&reports))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    pub nodes: usize,
    pub functions: usize,
    /// What is not said at all while it is measured is said every 5 s until all know all.
    pub pace: Pace,
    pub duration: Duration,
    /// For all to know all.
    pub patience: Duration,
    pub stop: Stop,
}

/// Makes the overlays in a namespace of their own, and measures them.
pub fn measure(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    usage::allow_files(options.nodes)?;
    let lease = Lease::take()?;
    let namespace = Namespace::new(format!("{}-overlay", lease.prefix()))?;
    namespace.enter(|| measure_here(options, say))?
}

fn measure_here(options: &Options, say: &dyn Fn(&str)) -> Result<Report> {
    let machine = crate::bench::report::machine::describe();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the overlays")?;
    let before = Usage::now()?;
    let begun = Instant::now();
    let crowd = runtime.block_on(Crowd::start(options.nodes, options.functions, options.pace))?;
    let connected = wait("is connected to all", &crowd, options, begun, say, Crowd::connected)?;
    let heard = wait("has heard of all", &crowd, options, begun, say, Crowd::heard)?;
    let joining = Usage::now()? - before;
    crowd.set_pace(options.pace);
    options.stop.sleep(SETTLE);
    say(&format!("{} agents: measuring for {} s", options.nodes, options.duration.as_secs()));
    let (before, counts, begun) = (Usage::now()?, crowd.counts(), Instant::now());
    options.stop.sleep(options.duration);
    options.stop.check()?;
    let took = begun.elapsed();
    let usage = Usage::now()? - before;
    let counts = crowd.counts() - counts;
    let report = Report::new(options, machine, (connected, heard, joining), took, usage, counts, crowd.sizes());
    runtime.block_on(crowd.stop());
    Ok(report)
}

/// Waits until every one has as many as it can; how long that took from `begun` on.
fn wait(
    what: &str,
    crowd: &Crowd,
    options: &Options,
    begun: Instant,
    say: &dyn Fn(&str),
    count: fn(&Crowd) -> Vec<usize>,
) -> Result<Duration> {
    let all = options.nodes - 1;
    say(&format!("{} agents: waiting until each {what}", options.nodes));
    loop {
        let counts = count(crowd);
        if counts.iter().all(|count| *count == all) {
            return Ok(begun.elapsed());
        }
        options.stop.check()?;
        let least = counts.iter().min().copied().unwrap_or(0);
        let done = counts.iter().filter(|count| **count == all).count();
        ensure!(
            begun.elapsed() < options.patience,
            "after {:?} not every agent {what} {all} others: {done} of {} do, the last one knows {least}",
            options.patience,
            options.nodes
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
