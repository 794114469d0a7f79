//! `dfaas-agent simulate sample`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{Force, Seed, print};
use crate::{output::OutputFolder, sample};

/// Write a small made-up data set to try the other commands with
#[derive(Debug, Args)]
#[command(
    long_about = "Measured runs drawn from the queue model, models of what a node uses, instances for both simulators, a \
                  load trace, an episode and a table for the queue model. A README.md in the folder says which command \
                  takes what."
)]
pub(super) struct Sample {
    /// New folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    seed: Seed,
    #[command(flatten)]
    force: Force,
}

impl Sample {
    pub(super) fn run(self) -> Result<ExitCode> {
        let out = OutputFolder::new(&self.folder, self.force.force)?;
        sample::write(out.path(), self.seed.seed.into())?;
        out.publish()?;
        print(&format!("{}: see README.md in it", self.folder.display()));
        Ok(ExitCode::SUCCESS)
    }
}
