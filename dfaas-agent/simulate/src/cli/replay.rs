//! `dfaas-agent simulate replay`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, value_parser};

use super::{Force, Json, Seed, indices_json, indices_table, print, print_json, progress};
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

/// Replay measured minutes on virtual nodes that forward their excess
#[derive(Debug, Args)]
#[command(
    long_about = "Every virtual node shows what was measured on a real one under the same load. What its functions cannot \
                  serve goes to its neighbours as the strategy says: one hop, no queue, and what a neighbour cannot serve \
                  is lost. The instance is a file or is generated from the measured runs."
)]
pub(super) struct Replay {
    /// Measured runs: a folder, searched with its subfolders, or a file; may be repeated
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// The nodes, their neighbours and their load by minute; one in the layout of 2021 needs no measured runs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nodes", "edge_probability"])]
    instance: Option<PathBuf>,
    /// Nodes of a generated instance
    #[arg(long, value_name = "N", default_value_t = 10)]
    nodes: usize,
    /// Probability of an edge in a generated instance, which is connected in any case above 0
    #[arg(long, value_name = "P", default_value_t = 0.1)]
    edge_probability: f64,
    /// What to compare: base, random, static and empirical as in the original's simulator; of the live agent recalc,
    /// static-agent and all-local, and with the original's arithmetic recalc-original and static-agent-original
    #[arg(long, value_name = "LIST", default_value = "base,random,static,empirical")]
    strategy: String,
    /// How often each strategy is run
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(1..=MAX_REPETITIONS), default_value_t = 5)]
    repetitions: i64,
    #[command(flatten)]
    seed: Seed,
    /// New folder for tables, indices, logs and charts
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File for the shares that do not depend on chance
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
    #[command(flatten)]
    force: Force,
}

impl Replay {
    pub(super) fn run(self) -> Result<ExitCode> {
        let choices = Choice::parse_list(&self.strategy)?;
        let out = self.out.as_ref().map(|out| OutputFolder::new(out, self.force.force)).transpose()?;
        let mut measurements = Measurements::default();
        for data in &self.data {
            measurements.absorb(Measurements::read(data)?);
        }
        let seed: u64 = self.seed.seed.into();
        let (instance, minutes) = self.instance(seed, measurements)?;
        let repetitions = self.repetitions as usize;
        let bar = progress(choices.len() * repetitions, "replaying")?;
        let experiment =
            replay::run(&instance, &minutes, &RunSpec { choices: choices.clone(), repetitions, seed }, || bar.inc(1));
        bar.finish_and_clear();
        if let Some(out) = out {
            files::write(out.path(), &instance, &minutes, &experiment)?;
            out.publish()?;
        }
        if let Some(file) = &self.weights {
            let weights = weights(&instance, &minutes, &choices);
            whole_file::write(file, |file| Ok(serde_json::to_writer_pretty(file, &weights)?))?;
        }
        if self.json.json {
            print_json(&as_json(&experiment))?;
        } else {
            print(&summary(&experiment));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The instance, and what its nodes show.
    fn instance(&self, seed: u64, mut measurements: Measurements) -> Result<(Instance, Minutes)> {
        let Some(file) = &self.instance else {
            if measurements.runs.is_empty() {
                let text = "--data: no measured runs, expected some to generate an instance from";
                return Err(BadInput(text.to_owned()).into());
            }
            let spec = generate::InstanceSpec { nodes: self.nodes, edge_probability: self.edge_probability, seed };
            let instance = generate(spec, &measurements)?;
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
