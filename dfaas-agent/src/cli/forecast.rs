//! `dfaas-agent forecast`: what a node uses under a load, by the trained models.

mod predict;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgMatches, Command, value_parser};
use dfaas_base::command::{Entry, group, run_below};

fn entries() -> Vec<Entry> {
    vec![Entry { command: predict::command(), run: predict::run }, Entry { command: serve::command(), run: serve::run }]
}

pub(super) fn command() -> Command {
    let command = Command::new("forecast").about("Predict what a node uses under a load").long_about(
        "Evaluates trained models: CPU, memory and power of a node, and whether it is overloaded, by the calls per \
             second to each group of functions.",
    );
    group(command, entries())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    run_below(entries(), args)
}

/// `--models DIR`.
pub fn models() -> Arg {
    Arg::new("models")
        .long("models")
        .value_name("DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("Folder with models/*.lgb.txt[.gz] and scalers.json")
        .long_help(
            "Folder with scalers.json and the models as LightGBM writes them, packed with gzip or not: \
             models/METRIC.FAMILY.lgb.txt.gz with METRIC cpu_usage_node, ram_usage_node or power_usage_node and FAMILY \
             regression, quantile005 or quantile095, and models/overloaded_node.lgb.txt.gz. If it has a manifest.json, \
             every file must have the SHA-256 listed there.",
        )
}
