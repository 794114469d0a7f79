//! `dfaas-agent simulate analyse`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::{indices_json, indices_table, json, print, print_json};
use crate::analyse::{Analysis, analyse};

pub(super) fn command() -> Command {
    Command::new("analyse")
        .about("Compute the indices of recorded forwarding tables")
        .long_about(
            "Reads a folder with minute_0, minute_1 and so on, as `simulate replay` writes them below reports/STRATEGY and \
             as the original has recorded them: invoc_rates.csv, max_rates.csv, and a table for each function. A folder \
             with several such folders gives the indices of each, by its name.",
        )
        .arg(Arg::new("folder").value_name("DIR").required(true).value_parser(value_parser!(PathBuf)).help("The tables"))
        .arg(json())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let folder = args.get_one::<PathBuf>("folder").context("no folder")?;
    let analysis = analyse(folder)?;
    if args.get_flag("json") {
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
            let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
            indices_table([(name.as_ref(), *indices)].into_iter())
        }
        Analysis::Several(several) => indices_table(several.iter().map(|(name, indices)| (name.as_str(), *indices))),
    };
    print(&table.to_string());
    Ok(ExitCode::SUCCESS)
}
