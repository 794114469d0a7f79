//! `dfaas-agent simulate replay`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{force, indices_json, indices_table, json, path, print, print_json, progress, seed};
use crate::{
    output::OutputFolder,
    replay::{
        self, Experiment, RunSpec,
        choice::Choice,
        files,
        generate::{self, generate},
        instance::Instance,
        measured::{Measurements, Minutes},
        old_layout,
        weights::weights,
    },
};
use dfaas_base::{BadInput, whole_file};

/// Each repetition of a strategy is drawn anew; more than this is a slip of the pen.
const MAX_REPETITIONS: i64 = 100_000;

pub(super) fn command() -> Command {
    let nodes = Arg::new("nodes").long("nodes").value_name("N").value_parser(value_parser!(usize));
    let probability = Arg::new("edge-probability").long("edge-probability").value_name("P");
    let repetitions = Arg::new("repetitions").long("repetitions").value_name("N");
    Command::new("replay")
        .about("Replay measured minutes on virtual nodes that forward their excess")
        .long_about(
            "Every virtual node shows what was measured on a real one under the same load. What its functions cannot serve \
             goes to its neighbours as the strategy says: one hop, no queue, and what a neighbour cannot serve is lost. \
             The instance is a file or is generated from the measured runs.",
        )
        .arg(
            path("data", "DIR")
                .action(ArgAction::Append)
                .help("Measured runs: a folder, searched with its subfolders, or a file; may be repeated"),
        )
        .arg(path("instance", "FILE").conflicts_with_all(["nodes", "edge-probability"]).help(
            "The nodes, their neighbours and their load by minute; one in the layout of 2021 needs no measured runs",
        ))
        .arg(nodes.default_value("10").help("Nodes of a generated instance"))
        .arg(
            probability
                .value_parser(value_parser!(f64))
                .default_value("0.1")
                .help("Probability of an edge in a generated instance, which is connected in any case above 0"),
        )
        .arg(Arg::new("strategy").long("strategy").value_name("LIST").default_value("base,random,static,empirical").help(
            "What to compare: base, random, static and empirical as in the original's simulator; of the live agent recalc, \
             static-agent and all-local, and with the original's arithmetic recalc-original and static-agent-original",
        ))
        .arg(
            repetitions
                .value_parser(value_parser!(i64).range(1..=MAX_REPETITIONS))
                .default_value("5")
                .help("How often each strategy is run"),
        )
        .arg(seed())
        .arg(path("out", "DIR").help("New folder for tables, indices, logs and charts"))
        .arg(path("weights", "FILE").help("File for the shares that do not depend on chance"))
        .arg(json())
        .arg(force())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let choices = Choice::parse_list(args.get_one::<String>("strategy").map_or("", String::as_str))?;
    let out = args.get_one::<PathBuf>("out").map(|out| OutputFolder::new(out, args.get_flag("force"))).transpose()?;
    let mut measurements = Measurements::default();
    for data in args.get_many::<PathBuf>("data").into_iter().flatten() {
        measurements.absorb(Measurements::read(data)?);
    }
    let seed: u64 = args.get_one::<u32>("seed").copied().unwrap_or(1).into();
    let (instance, minutes) = instance(args, seed, measurements)?;
    let repetitions = args.get_one::<i64>("repetitions").map_or(5, |n| *n as usize);
    let bar = progress(choices.len() * repetitions, "replaying")?;
    let experiment =
        replay::run(&instance, &minutes, &RunSpec { choices: choices.clone(), repetitions, seed }, || bar.inc(1));
    bar.finish_and_clear();
    if let Some(out) = out {
        files::write(out.path(), &instance, &minutes, &experiment)?;
        out.publish()?;
    }
    if let Some(file) = args.get_one::<PathBuf>("weights") {
        let weights = weights(&instance, &minutes, &choices);
        whole_file::write(file, |file| Ok(serde_json::to_writer_pretty(file, &weights)?))?;
    }
    if args.get_flag("json") {
        print_json(&as_json(&experiment))?;
    } else {
        print(&summary(&experiment));
    }
    Ok(ExitCode::SUCCESS)
}

/// The instance, and what its nodes show.
fn instance(args: &ArgMatches, seed: u64, mut measurements: Measurements) -> Result<(Instance, Minutes)> {
    let Some(file) = args.get_one::<PathBuf>("instance") else {
        if measurements.runs.is_empty() {
            let text = "--data: no measured runs, expected some to generate an instance from";
            return Err(BadInput(text.to_owned()).into());
        }
        let instance = generate(plan(args, seed), &measurements)?;
        let minutes = measurements.look_up(&instance)?;
        return Ok((instance, minutes));
    };
    let instance = Instance::read(file, &mut measurements)?;
    let minutes = measurements.look_up(&instance).or_else(|refused| {
        // An instance that was converted from the layout of 2021 has loads that only its original has metrics of.
        measurements.absorb(old_layout::beside(file).ok_or(refused)?);
        measurements.look_up(&instance)
    })?;
    Ok((instance, minutes))
}

fn plan(args: &ArgMatches, seed: u64) -> generate::InstanceSpec {
    generate::InstanceSpec {
        nodes: args.get_one::<usize>("nodes").copied().unwrap_or(10),
        edge_probability: args.get_one::<f64>("edge-probability").copied().unwrap_or(0.1),
        seed,
    }
}

/// Strategy, index: mean over the repetitions.
fn as_json(experiment: &Experiment) -> serde_json::Value {
    let result = |result: &replay::StrategyResult| (result.choice.name().to_owned(), indices_json(&result.mean()));
    experiment.results.iter().map(result).collect::<serde_json::Map<_, _>>().into()
}

fn summary(experiment: &Experiment) -> String {
    let rows = experiment.results.iter().map(|result| (result.choice.name(), result.mean()));
    format!("means over {} repetitions\n{}", experiment.seeds.len(), indices_table(rows))
}
