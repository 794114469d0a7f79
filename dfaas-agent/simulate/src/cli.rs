//! `dfaas-agent simulate`: what a strategy would do to a federation.

mod analyse;
mod environment;
mod predict;
mod queue;
mod replay;
mod sample;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use dfaas_base::command::{Entry, group, run_below};
use indicatif::{ProgressBar, ProgressStyle};

use crate::replay::indices::Indices;

fn entries() -> Vec<Entry> {
    vec![
        Entry { command: replay::command(), run: replay::run },
        Entry { command: predict::command(), run: predict::run },
        Entry { command: analyse::command(), run: analyse::run },
        Entry { command: queue::command(), run: queue::run },
        Entry { command: environment::command(), run: environment::run },
        Entry { command: sample::command(), run: sample::run },
    ]
}

pub fn command() -> Command {
    let command = Command::new("simulate").about("Try strategies on federations that need not exist").long_about(
        "Runs the strategies of the live agent on measured or made-up loads and says how many calls would have been \
             served. The same seed gives the same result.",
    );
    group(command, entries())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode> {
    run_below(entries(), args)
}

/// An option that names a file or folder.
fn path(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(value_parser!(PathBuf))
}

fn json() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the results as JSON")
}

fn force() -> Arg {
    Arg::new("force").long("force").action(ArgAction::SetTrue).help("Replace the output folder if it exists")
}

fn seed() -> Arg {
    Arg::new("seed")
        .long("seed")
        .value_name("N")
        .value_parser(value_parser!(u32))
        .default_value("1")
        .help("What all random numbers follow from")
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
