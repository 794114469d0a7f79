//! `federation run`: a federation for a person or a script, and what it does meanwhile.

mod live;
pub(crate) mod progress;

use std::{collections::BTreeMap, io::IsTerminal as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use dfaas_agent::kernel::mode::{Mode, XdpPlace};

use self::{live::Live, progress::Progress};
use crate::{
    built,
    federation::{Federation, Functions, Options, Place, Which, remove_leftovers},
    machine,
    scenario::{self, Pace, Scenario},
    stop::Stop,
    view,
};

const TROUBLES_SHOWN: usize = 10;
/// Until all nodes see each other.
const SETTLE: Duration = Duration::from_mins(1);

#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunArgs {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    nodes: u8,
    /// Calls per second and function that each node may serve, the last for all further nodes
    #[arg(long, value_name = "RATE,…", default_value = "10,20,30", value_delimiter = ',')]
    rate_limits: Vec<u32>,
    /// How calls are distributed
    #[arg(long, default_value = "recalcstrategy")]
    strategy: String,
    /// Leave everything running at the end, at once without a scenario
    #[arg(long)]
    keep: bool,
    /// How much the kernel does: handoff, observe or off
    #[arg(long, default_value = "handoff")]
    mode: Mode,
    /// Where XDP runs: native or generic [default: native, else generic]
    #[arg(long, value_parser = xdp_place)]
    xdp: Option<XdpPlace>,
    /// Make calls: cloudnet, idle or two-hot
    #[arg(long, value_parser = Scenario::find)]
    scenario: Option<&'static Scenario>,
    /// End after one run of the scenario; the exit code tells whether it went as expected
    #[arg(long, requires = "scenario")]
    once: bool,
    /// Seconds of each step of the scenario, instead of its own
    #[arg(long, value_name = "SECONDS", requires = "scenario", value_parser = clap::value_parser!(u64).range(3..))]
    duration: Option<u64>,
    /// Results as JSON, one object a line
    #[arg(long)]
    json: bool,
    /// The agent's program [default: dfaas-agent beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Where configuration, state and logs go [default: federation in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A setting for all agents, such as AGENT_BURST=1s; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

pub(crate) fn xdp_place(text: &str) -> Result<XdpPlace, String> {
    let places = [XdpPlace::Native, XdpPlace::Generic];
    let place = places.into_iter().find(|place| place.to_string() == text);
    place.ok_or_else(|| format!("unknown place {text:?}: expected native or generic"))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no setting: expected NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl RunArgs {
    fn directory(&self) -> Result<PathBuf> {
        self.directory.clone().map_or_else(|| Ok(built::target()?.join("federation")), Ok)
    }

    fn options(&self, stop: &Stop) -> Result<Options> {
        let agent = match &self.agent {
            Some(path) => path.clone(),
            None => built::program("dfaas-agent")?,
        };
        Ok(Options {
            nodes: usize::from(self.nodes),
            rate_limits: self.rate_limits.clone(),
            rate_limits_of: BTreeMap::new(),
            strategy: self.strategy.clone(),
            mode: self.mode,
            xdp: self.xdp,
            place: Place::Host,
            functions: Functions::InAgent,
            guests: 0,
            agent,
            directory: self.directory()?,
            settings: self.settings.iter().cloned().collect(),
            stop: stop.clone(),
        })
    }
}

pub fn run(args: &RunArgs) -> Result<ExitCode> {
    machine::ensure_root()?;
    let stop = Stop::on_signals()?;
    let leftovers = remove_leftovers(&Which::Dead)?;
    for prefix in &leftovers.removed {
        eprintln!("removed what {prefix} had left behind");
    }
    let federation = start(args, &stop)?;
    if !args.json && (args.scenario.is_some() || !args.keep) {
        view::print(&format!("all nodes are up:\n{}", view::examples(&federation)))?;
    }
    let live = Live::new(args.json, std::io::stdout().is_terminal());
    let outcome = match args.scenario {
        Some(scenario) => play(args, &federation, scenario, live, &stop),
        None if args.keep => Ok(true),
        None => live.watch(&federation, &stop).map(|()| true),
    };
    let ended = end(federation, args.keep);
    let directory = args.directory()?;
    machine::give_to_sudo_user(&directory).with_context(|| format!("cannot give away {}", directory.display()))?;
    Ok(if outcome? && ended? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// With this setting the host's firewall sees what the nodes send each other; Docker's drops it.
fn firewall_hint() -> &'static str {
    match std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables") {
        Ok(text) if text.trim() == "1" => {
            "the nodes do not find together; the host's firewall may be what drops their packets, since \
             net.bridge.bridge-nf-call-iptables is 1"
        }
        Ok(_) | Err(_) => "the nodes do not find together",
    }
}

fn start(args: &RunArgs, stop: &Stop) -> Result<Federation> {
    let progress = Progress::new();
    let federation = Federation::start(args.options(stop)?, &|text| progress.say(text))?;
    progress.say("waiting until all nodes see each other");
    if let Err(error) = federation.wait_settled(SETTLE) {
        stop.check()?;
        return Err(error.context(firewall_hint()));
    }
    Ok(federation)
}

/// Runs the scenario, once or until the end is wished for; false if something was not as expected.
fn play(
    args: &RunArgs,
    federation: &Federation,
    scenario: &'static Scenario,
    mut live: Live,
    stop: &Stop,
) -> Result<bool> {
    if !args.json {
        view::print(&format!("{}: {}", scenario.name, scenario.description))?;
    }
    let pace = Pace { seconds: args.duration, ..Pace::default() };
    let mut is_ok = true;
    loop {
        let report = scenario::run(federation, scenario, pace, &mut |moment| {
            live.show(moment.statuses, Some(moment.tally))?;
            Ok(!stop.is_set())
        })?;
        live.finish();
        if args.json {
            view::print(&report.json().to_string())?;
        } else {
            view::print(&report.table())?;
            for line in report.tally().troubles().lines().take(TROUBLES_SHOWN) {
                view::print(&format!("not answered with 200: {line}"))?;
            }
        }
        for deviation in report.deviations() {
            eprintln!("not as expected: {deviation}");
        }
        is_ok &= report.is_ok();
        if args.once && report.interrupted {
            eprintln!("interrupted: nothing can be said of the scenario");
            return Ok(false);
        }
        if args.once || stop.is_set() {
            return Ok(is_ok);
        }
    }
}

fn which(args: &CleanArgs) -> Which {
    match (args.names.is_empty(), args.kept) {
        (false, _) => Which::Named(args.names.clone()),
        (true, true) => Which::DeadAndKept,
        (true, false) => Which::Dead,
    }
}

/// Leaves it running, or removes it; false if that did not go as it should.
fn end(federation: Federation, keep: bool) -> Result<bool> {
    if keep {
        let (examples, prefix) = (view::examples(&federation), federation.prefix().to_owned());
        federation.keep()?;
        // On the error output: the results are the other's.
        eprintln!("{prefix} stays:\n{examples}\nTo remove it: cargo xtask clean-federations {prefix}");
        return Ok(true);
    }
    eprintln!("ending the agents and removing the network");
    let troubles = federation.stop();
    for trouble in &troubles {
        eprintln!("{trouble}");
    }
    Ok(troubles.is_empty())
}

#[derive(Args, Clone, Debug)]
pub struct CleanArgs {
    /// Also those that were left running on purpose
    #[arg(long)]
    kept: bool,
    /// Only these
    names: Vec<String>,
}

/// `federation clean`: removes what federations have left whose process has died.
pub fn clean(args: &CleanArgs) -> Result<ExitCode> {
    machine::ensure_root()?;
    let found = remove_leftovers(&which(args))?;
    for kept in &found.kept {
        view::print(&format!("left running, as it was started with --keep: {kept} (its name as argument removes it)"))?;
    }
    for (what, prefixes) in [("removed", &found.removed), ("left alone, its process lives:", &found.in_use)] {
        for prefix in prefixes {
            view::print(&format!("{what} {prefix}"))?;
        }
    }
    let known: Vec<&String> = found.removed.iter().chain(&found.in_use).collect();
    let unknown: Vec<_> = args.names.iter().filter(|name| !known.contains(name)).map(String::as_str).collect();
    ensure!(unknown.is_empty(), "no federation of this name: {}", unknown.join(", "));
    if known.is_empty() {
        view::print("nothing to remove")?;
    }
    Ok(ExitCode::SUCCESS)
}
