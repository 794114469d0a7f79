//! `dfaas-agent simulate predict`: the predictive simulator.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use clap::{ArgGroup, Args, value_parser};
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
use dfaas_agent::{
    cli::ModelsArg,
    forecast::{groups::Groups, models::Family},
};
use dfaas_base::BadInput;

const ABOUT: &str = "Simulates seven minutes of a federation. Trained models predict from the rates of each node what it \
    uses and whether it is overloaded; a strategy forwards calls to neighbours; what is still too much is rejected.\n\n\
    The instance is read from a file (--instance) or made (--nodes). Several loads (--overloaded 30,60,90) and several \
    seeds (--experiments 20) run in parallel; the table then shows means over the seeds.\n\nStrategies: base keeps \
    everything; equal shares the excess evenly among all neighbours; node-margin sends calls as long as the forecast of \
    the neighbour says that it has room; power-saving does so for power, against 70 % of its limit.";

/// Simulate nodes whose state is predicted by trained models
#[derive(Debug, Args)]
#[command(long_about = ABOUT, group = ArgGroup::new("source").args(["instance", "nodes"]).required(true))]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Predict {
    #[command(flatten)]
    models: ModelsArg,
    /// Instance in the original's JSON
    #[arg(long, value_name = "FILE")]
    instance: Option<PathBuf>,
    /// Strategies, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "base,equal,node-margin,power-saving")]
    strategy: Vec<PredictedStrategy>,
    /// With the two slips of the original's simulator
    #[arg(long)]
    compat: bool,
    /// Models: regression, quantile005 or quantile095
    #[arg(long, default_value = "regression")]
    family: Family,
    /// Make an instance with so many nodes
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000))]
    nodes: Option<u32>,
    #[command(flatten)]
    made: Made,
    /// Write all tables into a new folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the folder if it exists
    #[arg(long, requires = "out")]
    force: bool,
    /// Draw success rates and overloaded nodes over the minutes, as SVG and PNG
    #[arg(long, requires = "out")]
    plots: bool,
    /// Print the indices as JSON: strategy -> index; around it the load, if there are several
    #[arg(long)]
    json: bool,
}

/// For instances that are made.
#[derive(Debug, Args)]
struct Made {
    /// Probability of each link beyond those that connect all
    #[arg(long, value_name = "P", default_value = "0.1", conflicts_with = "instance")]
    edge_probability: String,
    /// Nodes that get more than they can do, at most; several separated by commas
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "60", conflicts_with = "instance")]
    overloaded: Vec<String>,
    /// Seed of the first instance [default: random]
    #[arg(long, conflicts_with = "instance")]
    seed: Option<u64>,
    /// Instances for each load, with seeds that follow one another
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000), default_value_t = 1,
        conflicts_with = "instance")]
    experiments: u32,
}

impl Predict {
    pub(super) fn run(mut self) -> Result<ExitCode> {
        let groups = Groups::default();
        let instances = self.instances(&groups)?;
        let folder = self.out.as_ref().map(|out| OutputFolder::new(out, self.force)).transpose()?;
        let model = NodeModel::load(&self.models.models, self.family).map_err(BadInput)?;
        self.strategy.sort_unstable();
        self.strategy.dedup();
        let progress = progress(instances.len() * self.strategy.len());
        let cases = sweep(instances, &self.strategy, self.compat, &model, &groups, || progress.inc(1))?;
        progress.finish_and_clear();
        if let Some(folder) = folder {
            files::write(folder.path(), &cases, &model, &groups)?;
            if self.plots {
                charts::write(folder.path(), &cases)?;
            }
            folder.publish()?;
        }
        print(&means(&cases), self.json)?;
        Ok(ExitCode::SUCCESS)
    }

    fn instances(&self, groups: &Groups) -> Result<Vec<Instance>> {
        if let Some(file) = &self.instance {
            return Ok(vec![Instance::read(file, groups).map_err(BadInput)?]);
        }
        self.made.instances(self.nodes.context("no --nodes")? as usize, groups)
    }
}

impl Made {
    fn instances(&self, nodes: usize, groups: &Groups) -> Result<Vec<Instance>> {
        let edge_probability = number("edge-probability", &self.edge_probability, 1.0)?;
        // Small ones are easier to remember.
        let first = self.seed.unwrap_or_else(|| rand::random_range(0..4097));
        let mut instances = Vec::new();
        for load in &self.overloaded {
            let overloaded_percent = number("overloaded", load, 100.0)?;
            for experiment in 0..self.experiments {
                let seed = first.wrapping_add(experiment.into());
                instances.push(generate(&Wanted { nodes, edge_probability, overloaded_percent, seed }, groups));
            }
        }
        Ok(instances)
    }
}

fn number(name: &str, text: &str, most: f64) -> Result<f64> {
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
