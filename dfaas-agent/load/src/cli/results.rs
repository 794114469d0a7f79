//! `dfaas-agent load report` and `load plot`: from results of this player or of vegeta.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::{charts, outputs, outputs::Summaries, record::Record, report, summary::Tally, vegeta};

/// Earlier results.
#[derive(Debug, Args)]
struct Results {
    /// Results as JSON, one a line, of this player or of `vegeta encode`; - for standard input
    file: PathBuf,
}

impl Results {
    fn read(&self) -> Result<Vec<Record>> {
        let standard_input = self.file.as_os_str() == "-";
        vegeta::read_results(if standard_input { "/dev/stdin".as_ref() } else { &self.file })
    }
}

/// Print the summary of earlier results
#[derive(Debug, Args)]
pub(super) struct Report {
    #[command(flatten)]
    results: Results,
    /// As JSON, as in summary.json
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(super) fn run(self) -> Result<ExitCode> {
        let records = self.results.read()?;
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        if self.json {
            println!("{}", serde_json::to_string_pretty(&Summaries::of(&records))?);
        } else {
            print!("{}", report::text(&Tally::of(&records)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Draw charts of earlier results
#[derive(Debug, Args)]
pub(super) struct Plot {
    #[command(flatten)]
    results: Results,
    /// Where SVG and PNG files go
    #[arg(value_name = "OUTDIR")]
    folder: PathBuf,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
}

impl Plot {
    pub(super) fn run(self) -> Result<ExitCode> {
        let records = self.results.read()?;
        outputs::prepare(&self.folder, self.force)?;
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        for file in charts::draw(&records, &self.folder)? {
            println!("{}", file.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
