//! `dfaas-agent forecast`: what a node uses under a load, by the trained models.

mod predict;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};

/// Predict what a node uses under a load
#[derive(Debug, Args)]
#[command(
    long_about = "Evaluates trained models: CPU, memory and power of a node, and whether it is overloaded, by the calls per \
                  second to each group of functions."
)]
pub struct Forecast {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Predict(predict::Predict),
    Serve(serve::Serve),
}

impl Forecast {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Predict(command) => command.run(),
            Command::Serve(command) => command.run(),
        }
    }
}

/// `--models DIR`.
#[derive(Debug, Args)]
pub struct ModelsArg {
    /// Folder with models/*.lgb.txt[.gz] and scalers.json
    #[arg(
        long,
        value_name = "DIR",
        long_help = "Folder with scalers.json and the models as LightGBM writes them, packed with gzip or not: \
                     models/METRIC.FAMILY.lgb.txt.gz with METRIC cpu_usage_node, ram_usage_node or power_usage_node and \
                     FAMILY regression, quantile005 or quantile095, and models/overloaded_node.lgb.txt.gz. If it has a \
                     manifest.json, every file must have the SHA-256 listed there."
    )]
    pub models: PathBuf,
}
