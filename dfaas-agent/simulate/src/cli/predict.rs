//! `dfaas-agent simulate predict`: the predictive simulator.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use crate::{
    output::OutputFolder,
    predict::{
        analysis::Indices,
        charts, files,
        generate::{Wanted, generate},
        instance::Instance,
        node::NodeModel,
        run::PredictedStrategy,
        sweep::{means, sweep},
    },
};
use dfaas_agent::forecast::{groups::Groups, models::Family};
use dfaas_base::BadInput;

const ABOUT: &str = "Simulates seven minutes of a federation. Trained models predict from the rates of each node what it \
    uses and whether it is overloaded; a strategy forwards calls to neighbours; what is still too much is rejected.\n\n\
    The instance is read from a file (--instance) or made (--nodes). Several loads (--overloaded 30,60,90) and several \
    seeds (--experiments 20) run in parallel; the table then shows means over the seeds.\n\nStrategies: base keeps \
    everything; equal shares the excess evenly among all neighbours; node-margin sends calls as long as the forecast of \
    the neighbour says that it has room; power-saving does so for power, against 70 % of its limit.";

pub(super) fn command() -> Command {
    Command::new("predict")
        .about("Simulate nodes whose state is predicted by trained models")
        .long_about(ABOUT)
        .group(ArgGroup::new("source").args(["instance", "nodes"]).required(true))
        .arg(dfaas_agent::cli::models())
        .arg(value("instance", "FILE", "Instance in the original's JSON").value_parser(value_parser!(PathBuf)))
        .arg(
            value("strategy", "NAMES", "Strategies, separated by commas")
                .value_delimiter(',')
                .value_parser(|name: &str| name.parse::<PredictedStrategy>())
                .default_value("base,equal,node-margin,power-saving"),
        )
        .arg(flag("compat", "With the two slips of the original's simulator"))
        .arg(
            value("family", "FAMILY", "Models: regression, quantile005 or quantile095")
                .value_parser(|name: &str| name.parse::<Family>())
                .default_value("regression"),
        )
        .arg(
            value("nodes", "N", "Make an instance with so many nodes")
                .value_parser(value_parser!(u32).range(1..=100_000)),
        )
        .arg(
            made("edge-probability", "P", "Probability of each link beyond those that connect all")
                .default_value("0.1"),
        )
        .arg(
            made("overloaded", "PERCENT", "Nodes that get more than they can do, at most; several separated by commas")
                .value_delimiter(',')
                .default_value("60"),
        )
        .arg(made("seed", "SEED", "Seed of the first instance [default: random]").value_parser(value_parser!(u64)))
        .arg(
            made("experiments", "N", "Instances for each load, with seeds that follow one another")
                .value_parser(value_parser!(u32).range(1..=10_000))
                .default_value("1"),
        )
        .arg(value("out", "DIR", "Write all tables into a new folder").value_parser(value_parser!(PathBuf)))
        .arg(flag("force", "Replace the folder if it exists").requires("out"))
        .arg(flag("plots", "Draw success rates and overloaded nodes over the minutes, as SVG and PNG").requires("out"))
        .arg(flag("json", "Print the indices as JSON: strategy -> index; around it the load, if there are several"))
}

fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// For instances that are made.
fn made(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    self::value(name, value, help).conflicts_with("instance")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let groups = Groups::default();
    let instances = instances(args, &groups)?;
    let folder =
        args.get_one::<PathBuf>("out").map(|out| OutputFolder::new(out, args.get_flag("force"))).transpose()?;
    let family = args.get_one::<Family>("family").copied().unwrap_or_default();
    let models = args.get_one::<PathBuf>("models").context("no --models")?;
    let model = NodeModel::load(models, family).map_err(BadInput)?;
    let mut strategies: Vec<PredictedStrategy> = args.get_many("strategy").into_iter().flatten().copied().collect();
    strategies.sort_unstable();
    strategies.dedup();
    let progress = progress(instances.len() * strategies.len());
    let cases = sweep(instances, &strategies, args.get_flag("compat"), &model, &groups, || progress.inc(1))?;
    progress.finish_and_clear();
    if let Some(folder) = folder {
        files::write(folder.path(), &cases, &model, &groups)?;
        if args.get_flag("plots") {
            charts::write(folder.path(), &cases)?;
        }
        folder.publish()?;
    }
    print(&means(&cases), args.get_flag("json"))?;
    Ok(ExitCode::SUCCESS)
}

fn instances(args: &ArgMatches, groups: &Groups) -> Result<Vec<Instance>> {
    if let Some(file) = args.get_one::<PathBuf>("instance") {
        return Ok(vec![Instance::read(file, groups).map_err(BadInput)?]);
    }
    let nodes = *args.get_one::<u32>("nodes").context("no --nodes")? as usize;
    let edge_probability = number("edge-probability", args.get_one::<String>("edge-probability"), 1.0)?;
    let experiments = args.get_one::<u32>("experiments").copied().unwrap_or(1);
    // Small ones are easier to remember.
    let first = args.get_one::<u64>("seed").copied().unwrap_or_else(|| rand::random_range(0..4097));
    let mut instances = Vec::new();
    for load in args.get_many::<String>("overloaded").into_iter().flatten() {
        let overloaded_percent = number("overloaded", Some(load), 100.0)?;
        for experiment in 0..experiments {
            let seed = first.wrapping_add(experiment.into());
            instances.push(generate(&Wanted { nodes, edge_probability, overloaded_percent, seed }, groups));
        }
    }
    Ok(instances)
}

fn number(name: &str, text: Option<&String>, most: f64) -> Result<f64> {
    let text = text.with_context(|| format!("no --{name}"))?;
    let number = text.parse().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| anyhow!(BadInput(format!("--{name} {text:?}: expected a number from 0 to {most}"))))
}

/// Shown on a terminal only.
fn progress(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[allow(clippy::print_stdout, reason = "the answer to the command")]
fn print(means: &[(f64, Vec<(PredictedStrategy, Indices)>)], json: bool) -> Result<()> {
    if !json {
        println!("{}", table(means));
        return Ok(());
    }
    let indices = |indices: &Indices| -> Value {
        let named = Indices::NAMES.into_iter().zip(indices.values());
        named.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
    };
    let strategies = |all: &[(PredictedStrategy, Indices)]| -> Value {
        all.iter().map(|(strategy, values)| (strategy.to_string(), indices(values))).collect::<Map<_, _>>().into()
    };
    let value = match means {
        [(_, only)] => strategies(only),
        several => several.iter().map(|(load, all)| (load.to_string(), strategies(all))).collect::<Map<_, _>>().into(),
    };
    println!("{}", serde_json::to_string_pretty(&value)?);
    Ok(())
}

fn table(means: &[(f64, Vec<(PredictedStrategy, Indices)>)]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "load %",
        "strategy",
        "success % (mean)",
        "(median)",
        "in stress % (mean)",
        "(median)",
        "power W (mean)",
        "(max)",
        "rejected",
    ]);
    for (load, strategies) in means {
        for (strategy, indices) in strategies {
            let [mean, median, stress_mean, stress_median, power_mean, power_max, rejected] = indices.values();
            let percents = [mean, median, stress_mean, stress_median].map(|value| format!("{value:.2}"));
            let watts = [power_mean, power_max].map(|microwatts| format!("{:.3}", microwatts / 1e6));
            let first = [load.to_string(), strategy.to_string()];
            table.add_row(first.into_iter().chain(percents).chain(watts).chain([format!("{rejected:.1}")]));
        }
    }
    for column in table.column_iter_mut().filter(|column| column.index != 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
