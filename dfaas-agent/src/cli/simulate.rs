//! `dfaas-agent simulate`: what a strategy would do to a federation.

mod predict;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Command};

use super::Entry;

fn entries() -> Vec<Entry> {
    vec![Entry { command: predict::command(), run: predict::run }]
}

pub(super) fn command() -> Command {
    Command::new("simulate")
        .about("Simulate what a strategy would do to a federation")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(entries().into_iter().map(|entry| entry.command))
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let (name, args) = args.subcommand().context("no command")?;
    let entry = entries().into_iter().find(|entry| entry.command.get_name() == name).context("no such command")?;
    (entry.run)(args)
}
