//! `dfaas-agent simulate queue`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Command};

use super::path;
use crate::queue::table;
use dfaas_base::whole_file;

pub(super) fn command() -> Command {
    Command::new("queue")
        .about("Compute the steady state of functions that scale to zero")
        .long_about(
            "For every row of a table: how many containers run and idle, how often a call starts a cold one, how long calls \
             take and how many are rejected, by arrival rate, service times, idle time and the largest number of containers. \
             Input columns: arrival_rate (calls/s), warm_service_time, cold_service_time, idle_time_before_kill (seconds), \
             maximum_concurrency, faster_solution (0 or 1; others are ignored).",
        )
        .arg(path("csv", "IN").required(true).help("Table with the input columns"))
        .arg(path("out", "OUT").required(true).help("Table with the input and result columns; replaced if it exists"))
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let input = args.get_one::<PathBuf>("csv").context("no input")?;
    let out = args.get_one::<PathBuf>("out").context("no output")?;
    let table = table::solve(input)?;
    whole_file::write(out, |file| Ok(file.write_all(table.as_bytes())?))?;
    Ok(ExitCode::SUCCESS)
}
