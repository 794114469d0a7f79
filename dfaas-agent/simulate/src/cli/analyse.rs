//! `dfaas-agent simulate analyse`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{Json, indices_json, indices_table, print, print_json};
use crate::analyse::{Analysis, analyse};

/// Compute the indices of recorded forwarding tables
#[derive(Debug, Args)]
#[command(
    long_about = "Reads a folder with minute_0, minute_1 and so on, as `simulate replay` writes them below reports/STRATEGY \
                  and as the original has recorded them: invoc_rates.csv, max_rates.csv, and a table for each function. A \
                  folder with several such folders gives the indices of each, by its name."
)]
pub(super) struct Analyse {
    /// The tables
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    json: Json,
}

impl Analyse {
    pub(super) fn run(self) -> Result<ExitCode> {
        let analysis = analyse(&self.folder)?;
        if self.json.json {
            print_json(&match &analysis {
                Analysis::One(indices) => indices_json(indices),
                Analysis::Several(several) => {
                    let named = several.iter().map(|(name, indices)| (name.clone(), indices_json(indices)));
                    named.collect::<serde_json::Map<_, _>>().into()
                }
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let table = match &analysis {
            Analysis::One(indices) => {
                let name = self.folder.file_name().unwrap_or(self.folder.as_os_str()).to_string_lossy();
                indices_table([(name.as_ref(), *indices)].into_iter())
            }
            Analysis::Several(several) => {
                indices_table(several.iter().map(|(name, indices)| (name.as_str(), *indices)))
            }
        };
        print(&table.to_string());
        Ok(ExitCode::SUCCESS)
    }
}
