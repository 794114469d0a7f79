//! What all commands that play a load share: their arguments, and the way from attacks to an exit code.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{arg, get};
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

pub(super) fn arguments() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    vec![
        Arg::new("out")
            .long("out")
            .value_name("DIR")
            .value_parser(value_parser!(PathBuf))
            .help("Where results are written; made if it is not there"),
        flag("force", "Write into a folder that is not empty"),
        flag("no-plots", "No charts"),
        flag("json", "Print the summary as JSON instead of a report"),
        Arg::new("wait-for").long("wait-for").value_name("URL").action(ArgAction::Append).help(
            "Base URL of a node whose /healthz must say 200 first; may be repeated [default: those of the targets]",
        ),
        flag("no-wait", "Do not wait for /healthz"),
        arg("wait-tries", "N", |text| text.parse::<u32>().map_err(|e| e.to_string()), "How often /healthz is asked")
            .default_value("25"),
        arg("wait-apart", "TIME", units::duration, "Time between two tries").default_value("10s"),
        max_in_flight(),
    ]
}

pub(super) fn max_in_flight() -> Arg {
    arg(
        "max-in-flight",
        "N",
        |text| text.parse::<usize>().map_err(|e| e.to_string()),
        "Requests under way at one time; arrivals beyond are counted as not sent",
    )
    .default_value("10000")
}

/// Waits, plays, writes and prints; the exit code says whether all thresholds were met.
pub(super) fn perform(scenario: &Scenario, args: &ArgMatches, wanted: Wanted) -> Result<ExitCode> {
    let out = args.get_one::<PathBuf>("out");
    if let Some(folder) = out {
        outputs::prepare(folder, args.get_flag("force"))?;
    }
    let runtime = runtime()?;
    if !args.get_flag("no-wait") {
        let tries = Tries { count: get(args, "wait-tries")?, apart: get(args, "wait-apart")?, ..Tries::default() };
        runtime.block_on(wait_for(&nodes(scenario, args), tries))?;
    }
    runtime.block_on(pause(scenario.wait));
    let mut live = Live::new(scenario.attacks.iter().map(|attack| expected(&attack.stages)).sum());
    let limits = limits(get(args, "max-in-flight")?, &runtime)?;
    let played = runtime.block_on(play(&scenario.attacks, &limits, |record| live.see(record)))?;
    live.finish();
    finish(scenario, &played, out.map(PathBuf::as_path), args.get_flag("json"), wanted)
}

fn finish(scenario: &Scenario, played: &Played, out: Option<&Path>, json: bool, wanted: Wanted) -> Result<ExitCode> {
    if let Some(folder) = out {
        outputs::write(folder, &played.records, wanted)?;
    }
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    if json {
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

/// Those that are named, else one for each host of a target.
fn nodes(scenario: &Scenario, args: &ArgMatches) -> Vec<String> {
    if let Some(named) = args.get_many::<String>("wait-for") {
        return named.map(|node| node.trim_end_matches('/').to_owned()).collect();
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

/// Ctrl-C ends the sending; what is under way comes to its end, and the results are those until then.
pub(super) fn limits(in_flight: usize, runtime: &tokio::runtime::Runtime) -> Result<Limits> {
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
    Ok(Limits { in_flight, stop })
}
