//! `dfaas-agent simulate sample`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::{force, print, seed};
use crate::{output::OutputFolder, sample};

pub(super) fn command() -> Command {
    Command::new("sample")
        .about("Write a small made-up data set to try the other commands with")
        .long_about(
            "Measured runs drawn from the queue model, models of what a node uses, instances for both simulators, a load \
             trace, an episode and a table for the queue model. A README.md in the folder says which command takes what.",
        )
        .arg(Arg::new("folder").value_name("DIR").required(true).value_parser(value_parser!(PathBuf)).help("New folder"))
        .arg(seed())
        .arg(force())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let folder = args.get_one::<PathBuf>("folder").context("no folder")?;
    let out = OutputFolder::new(folder, args.get_flag("force"))?;
    sample::write(out.path(), args.get_one::<u32>("seed").copied().unwrap_or(1).into())?;
    out.publish()?;
    print(&format!("{}: see README.md in it", folder.display()));
    Ok(ExitCode::SUCCESS)
}
