//! `dfaas-agent load report` and `load plot`: from results of this player or of vegeta.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::get;
use crate::{charts, outputs, outputs::Summaries, record::Record, report, summary::Tally, vegeta};

fn files() -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("Results as JSON, one a line, of this player or of `vegeta encode`; - for standard input")
}

pub(super) fn report_command() -> Command {
    Command::new("report")
        .about("Print the summary of earlier results")
        .arg(files())
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON, as in summary.json"))
}

pub(super) fn report(args: &ArgMatches) -> Result<ExitCode> {
    let records = read(args)?;
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    if args.get_flag("json") {
        println!("{}", serde_json::to_string_pretty(&Summaries::of(&records))?);
    } else {
        print!("{}", report::text(&Tally::of(&records)));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn plot_command() -> Command {
    Command::new("plot")
        .about("Draw charts of earlier results")
        .arg(files())
        .arg(
            Arg::new("folder")
                .value_name("OUTDIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Where SVG and PNG files go"),
        )
        .arg(Arg::new("force").long("force").action(ArgAction::SetTrue).help("Write into a folder that is not empty"))
}

pub(super) fn plot(args: &ArgMatches) -> Result<ExitCode> {
    let records = read(args)?;
    let folder: PathBuf = get(args, "folder")?;
    outputs::prepare(&folder, args.get_flag("force"))?;
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    for file in charts::draw(&records, &folder)? {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &ArgMatches) -> Result<Vec<Record>> {
    let file: PathBuf = get(args, "file")?;
    vegeta::read_results(&if file.as_os_str() == "-" { PathBuf::from("/dev/stdin") } else { file })
}
