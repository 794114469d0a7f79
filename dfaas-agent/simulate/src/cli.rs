//! `dfaas-agent simulate`: what a strategy would do to a federation.

mod analyse;
mod environment;
mod predict;
mod queue;
mod replay;
mod sample;

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use indicatif::{ProgressBar, ProgressStyle};

use crate::replay::indices::Indices;

/// Try strategies on federations that need not exist
#[derive(Debug, Args)]
#[command(
    long_about = "Runs the strategies of the live agent on measured or made-up loads and says how many calls would have been \
                  served. The same seed gives the same result."
)]
pub struct Simulate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(replay::Replay),
    Predict(predict::Predict),
    Analyse(analyse::Analyse),
    Queue(queue::Queue),
    Environment(environment::Environment),
    Sample(sample::Sample),
}

impl Simulate {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Replay(command) => command.run(),
            Command::Predict(command) => command.run(),
            Command::Analyse(command) => command.run(),
            Command::Queue(command) => command.run(),
            Command::Environment(command) => command.run(),
            Command::Sample(command) => command.run(),
        }
    }
}

#[derive(Debug, Args)]
struct Json {
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Force {
    /// Replace the output folder if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct Seed {
    /// What all random numbers follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
}

/// The answer to the command.
#[allow(clippy::print_stdout, reason = "the answer to the command")]
fn print(text: &str) {
    println!("{text}");
}

fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// On a terminal; nothing is drawn elsewhere.
fn progress(steps: usize, what: &'static str) -> Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}, {eta} left")?;
    Ok(ProgressBar::new(steps as u64).with_style(style).with_message(what))
}

/// Strategies in rows, the indices that matter most in columns.
fn indices_table<'a>(rows: impl Iterator<Item = (&'a str, Indices)>) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["strategy", "success %", "in stress %", "rejected requests", "per minute, 90 %"]);
    for (name, Indices(values)) in rows {
        let numbers = [values[0], values[4], values[8], values[11]].map(|value| format!("{value:.2}"));
        table.add_row(std::iter::once(name.to_owned()).chain(numbers));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn indices_json(indices: &Indices) -> serde_json::Value {
    indices.named().map(|(name, value)| (name.to_owned(), value.into())).collect::<serde_json::Map<_, _>>().into()
}
