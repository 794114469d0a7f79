//! `federation bench`: what the kernel path costs a node, against the proxy of the original doing the same work.
//!
//! Both are measured in one run on the same cores, by turns, so that whatever else the machine does hits both.

mod contender;
pub(crate) mod cpu;
mod figure;
mod haproxy;
mod packets;
pub(crate) mod report;
mod wrk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::{mode::XdpPlace, object};
use serde_json::json;

use self::{
    contender::{Contender, Kernel, Proxy},
    figure::FIGURES,
    report::{Report, Spread},
};
use crate::{
    emulator::xdp_place,
    federation::{lease::Lease, remove_leftovers},
    stop::Stop,
};

#[derive(clap::Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Three rounds of four seconds instead of five of ten
    #[arg(long)]
    quick: bool,
    /// Results as JSON, one object a line, instead of the table
    #[arg(long)]
    json: bool,
    /// Where XDP runs: native or generic
    #[arg(long, default_value = "native", value_parser = xdp_place)]
    xdp: XdpPlace,
    /// Kernel programs to measure [default: those built into this program]
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    /// Handle packets where they are sent, not in kernel threads of their own: closer to a machine's defaults, but the
    /// proxy is then charged for packets of other nodes too
    #[arg(long)]
    inline: bool,
    /// Only the time of the program for one packet of each kind
    #[arg(long)]
    packets: bool,
    /// Where the results go as JSON
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    directory: PathBuf,
}

impl Args {
    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 5 }
    }

    fn seconds(&self) -> u64 {
        if self.quick { 4 } else { 10 }
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    ensure!(nix::unistd::geteuid().is_root(), "not root: making network namespaces needs it");
    let stop = Stop::on_signals()?;
    remove_leftovers(false)?;
    let image = match &args.object {
        Some(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        None => object::embedded()?.to_vec(),
    };
    let files = tempfile::tempdir().context("cannot make a directory for configurations")?;
    // Counts the time of programs for as long as it is open.
    let _statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime).context("cannot count the time of programs")?;
    let lease = Lease::take()?;
    let kernel = Kernel::new(lease.prefix(), &image, args.xdp, files.path())?;
    if args.packets { packets(args, kernel) } else { loads(args, kernel, files.path(), &stop) }
}

/// Both contenders, by turns.
fn loads(args: &Args, kernel: Kernel, files: &Path, stop: &Stop) -> Result<ExitCode> {
    let lease = Lease::take()?;
    let proxy = Proxy::new(lease.prefix(), files)?;
    let mut contenders: [Box<dyn Contender>; 2] = [Box::new(kernel), Box::new(proxy)];
    if !args.inline {
        contenders.iter_mut().try_for_each(|contender| contender.use_threads())?;
    }
    let mut report = Report::new(args);
    for figure in &FIGURES {
        for round in 1..=args.rounds() {
            for contender in &contenders {
                stop.check()?;
                eprintln!("{}, round {round} of {}: {}", figure.name, args.rounds(), contender.name());
                let sample = figure.measure(contender.as_ref(), args.seconds())?;
                report.add(figure, round, contender.name(), sample);
            }
        }
    }
    let path = report.save(&args.directory)?;
    if args.json {
        print!("{}", report.lines());
    } else {
        println!("{}", report.text());
        println!("All samples: {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn packets(args: &Args, mut kernel: Kernel) -> Result<ExitCode> {
    for kind in packets::measure(kernel.pair(), args.rounds())? {
        let Some(Spread { median, min, max }) = kind.spread() else { continue };
        if args.json {
            println!(
                "{}",
                json!({ "kind": "packet", "packet": kind.name, "median_ns": median, "min_ns": min, "max_ns": max })
            );
        } else {
            println!("{:<32} {median:>6.0} ns ({min:.0} – {max:.0})", kind.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}
