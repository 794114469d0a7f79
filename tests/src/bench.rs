//! `federation bench`: what the kernel path costs a node, against the proxy of the original doing the same work.
//!
//! Contenders are measured in one run on the same cores, by turns, so that whatever else the machine does hits all.

mod bodies;
mod calls;
mod churn;
mod contender;
pub(crate) mod cpu;
mod figure;
mod findings;
mod flood;
mod haproxy;
mod hop;
mod overload;
mod packets;
pub mod programs;
pub(crate) mod report;
mod spread;
mod wrk;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use dfaas_agent::kernel::{mode::XdpPlace, object};
use serde_json::{Value, json};

use self::findings::Findings;
use crate::{
    built,
    emulator::xdp_place,
    federation::{Which, remove_leftovers},
    machine,
    stop::Stop,
    view,
};

#[derive(clap::Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// What to measure; several may be named [default: all]
    #[arg(value_enum, value_name = "WHAT")]
    what: Vec<What>,
    /// Three short rounds instead of five long ones: all of it in five minutes
    #[arg(long)]
    quick: bool,
    /// Results as JSON, one object a line, instead of tables
    #[arg(long)]
    json: bool,
    /// Where XDP runs: native or generic
    #[arg(long, default_value = "native", value_parser = xdp_place)]
    xdp: XdpPlace,
    /// Kernel programs to measure [default: those built into this program]
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    /// Handle packets where they are sent, not in kernel threads of their own (forward, reject): closer to a machine's
    /// defaults, but the proxy is then charged for packets of other nodes too
    #[arg(long)]
    inline: bool,
    /// The agent's program, for churn [default: dfaas-agent beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Where the results go as JSON, a file for each of them [default: bench in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// In the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum What {
    /// Nanoseconds of the programs for one packet of each kind; size and stack of each program
    Packets,
    /// Calls from node A to node B: CPU, calls per second, latency; with bodies of 0, 1 KiB, 100 KiB, 5 MB
    Forward,
    /// Calls refused with 429: CPU, and what one CPU can refuse
    Reject,
    /// 1, 2, 5 and 10 times the calls that a node may serve: how many are served, and how fast
    Overload,
    /// A flood of SYNs beside a client: whose connections come about
    Flood,
    /// Tables, HAProxy and agents replaced under load: no call may be lost
    Churn,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Forward => "forward",
            Self::Reject => "reject",
            Self::Overload => "overload",
            Self::Flood => "flood",
            Self::Churn => "churn",
        }
    }

    fn measure(self, setting: &Setting) -> Result<Findings> {
        match self {
            Self::Packets => packets::run(setting),
            Self::Forward => hop::forward(setting),
            Self::Reject => hop::reject(setting),
            Self::Overload => overload::run(setting),
            Self::Flood => flood::run(setting),
            Self::Churn => churn::run(setting),
        }
    }
}

impl Args {
    fn directory(&self) -> Result<PathBuf> {
        self.directory.clone().map_or_else(|| Ok(built::target()?.join("bench")), Ok)
    }
}

/// What all benchmarks are given.
struct Setting {
    args: Args,
    image: Vec<u8>,
    stop: Stop,
}

impl Setting {
    fn rounds(&self) -> usize {
        if self.args.quick { 3 } else { 5 }
    }

    fn seconds(&self, quick: u64, full: u64) -> Duration {
        Duration::from_secs(if self.args.quick { quick } else { full })
    }

    /// Says what comes next; an error if the end is wished for.
    fn step(&self, what: &str) -> Result<()> {
        self.stop.check()?;
        eprintln!("{what}");
        Ok(())
    }

    fn machine(&self) -> Value {
        let mut machine = report::machine::describe();
        machine["rounds"] = self.rounds().into();
        machine["quick"] = self.args.quick.into();
        machine["xdp"] = self.args.xdp.to_string().into();
        machine["packet_threads"] = (!self.args.inline).into();
        machine
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    machine::ensure_root()?;
    let stop = Stop::on_signals()?;
    remove_leftovers(&Which::Dead)?;
    let image = match &args.object {
        Some(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => object::embedded()?.to_vec(),
    };
    // Counts the time of programs for as long as it is open.
    let _statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime).context("cannot count the time of programs")?;
    let setting = Setting { args: args.clone(), image, stop };
    let mut failures = Vec::new();
    let mut what = if args.what.is_empty() { What::value_variants().to_vec() } else { args.what.clone() };
    what.sort_unstable();
    what.dedup();
    for what in what {
        if let Err(error) = one(&setting, what) {
            setting.stop.check()?;
            failures.push(format!("{}: {error:#}", what.name()));
        }
    }
    machine::give_to_sudo_user(&setting.args.directory()?).context("cannot give the results away")?;
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", failures.join("\n"))
}

/// Measures, saves and shows; an error if something that must hold did not.
fn one(setting: &Setting, what: What) -> Result<()> {
    let (machine, begun) = (setting.machine(), Instant::now());
    let measured = what.measure(setting)?;
    let mut findings = Findings::default();
    findings.line(json!({ "kind": "machine", "bench": what.name(), "machine": machine,
                          "seconds": begun.elapsed().as_secs_f64() }));
    findings.append(measured);
    findings.say(report::sentence(&machine));
    let path = findings.save(&setting.args.directory()?, what.name())?;
    if setting.args.json {
        view::print(findings.json_lines().trim_end())?;
    } else {
        view::print(&format!("\n{}\n\n{}", what.name(), findings.text()))?;
        view::print(&format!("All samples: {}", path.display()))?;
    }
    let broken = findings.all_broken();
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}
