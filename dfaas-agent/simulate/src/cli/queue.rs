//! `dfaas-agent simulate queue`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::queue::table;
use dfaas_base::whole_file;

/// Compute the steady state of functions that scale to zero
#[derive(Debug, Args)]
#[command(
    long_about = "For every row of a table: how many containers run and idle, how often a call starts a cold one, how long \
                  calls take and how many are rejected, by arrival rate, service times, idle time and the largest number \
                  of containers. Input columns: arrival_rate (calls/s), warm_service_time, cold_service_time, \
                  idle_time_before_kill (seconds), maximum_concurrency, faster_solution (0 or 1; others are ignored)."
)]
pub(super) struct Queue {
    /// Table with the input columns
    #[arg(long, value_name = "IN")]
    csv: PathBuf,
    /// Table with the input and result columns; replaced if it exists
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
}

impl Queue {
    pub(super) fn run(self) -> Result<ExitCode> {
        let table = table::solve(&self.csv)?;
        whole_file::write(&self.out, |file| Ok(file.write_all(table.as_bytes())?))?;
        Ok(ExitCode::SUCCESS)
    }
}
