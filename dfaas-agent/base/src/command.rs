//! Commands below commands, and the runtime they work in.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Command};

/// A command: what clap knows of it, and what it does.
#[derive(Debug)]
pub struct Entry {
    pub command: Command,
    pub run: fn(&ArgMatches) -> Result<ExitCode>,
}

/// `command` with these commands below it, one of which must be given.
pub fn group(command: Command, entries: Vec<Entry>) -> Command {
    let commands = entries.into_iter().map(|entry| entry.command);
    command.subcommand_required(true).arg_required_else_help(true).subcommands(commands)
}

/// Does what the command below this one says.
pub fn run_below(entries: Vec<Entry>, args: &ArgMatches) -> Result<ExitCode> {
    let (name, args) = args.subcommand().context("no command")?;
    let entry = entries.into_iter().find(|entry| entry.command.get_name() == name).context("no such command")?;
    (entry.run)(args)
}

/// For a command that waits for others.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
