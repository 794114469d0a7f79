//! The command line: one file per command.

mod config;
mod detach;
mod forecast;
#[cfg(feature = "load")]
mod load;
mod run;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
mod status;
mod whole_file;

use std::{fmt, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Command};

/// A command: what clap knows of it, and what it does.
struct Entry {
    command: Command,
    run: fn(&ArgMatches) -> Result<ExitCode>,
}

/// `command` with these commands below it, one of which must be given.
fn group(command: Command, entries: Vec<Entry>) -> Command {
    let commands = entries.into_iter().map(|entry| entry.command);
    command.subcommand_required(true).arg_required_else_help(true).subcommands(commands)
}

/// Does what the command below this one says.
fn run_below(entries: Vec<Entry>, args: &ArgMatches) -> Result<ExitCode> {
    let (name, args) = args.subcommand().context("no command")?;
    let entry = entries.into_iter().find(|entry| entry.command.get_name() == name).context("no such command")?;
    (entry.run)(args)
}

/// In the order of the help text.
fn entries() -> Vec<Entry> {
    vec![
        Entry { command: run::command(), run: run::run },
        Entry { command: status::command(), run: status::run },
        #[cfg(feature = "simulate")]
        Entry { command: simulate::command(), run: simulate::run },
        Entry { command: forecast::command(), run: forecast::run },
        #[cfg(feature = "load")]
        Entry { command: load::command(), run: load::run },
        Entry { command: config::command(), run: config::run },
        Entry { command: detach::command(), run: detach::run },
    ]
}

/// Parses the arguments and does what they say.
pub fn main() -> Result<ExitCode> {
    let command = Command::new("dfaas-agent").version(env!("CARGO_PKG_VERSION")).about("A node of a DFaaS federation");
    #[cfg(feature = "load")]
    let given = load::with_double_dashes(std::env::args_os());
    #[cfg(not(feature = "load"))]
    let given = std::env::args_os();
    run_below(entries(), &group(command, entries()).get_matches_from(given))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Input of the user that cannot be used: exit code 2. Names the file, the field and the value, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}
