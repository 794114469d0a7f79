//! `dfaas-agent config`: the settings in force.

use std::{net::Ipv4Addr, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};
use dfaas_base::BadInput;

use super::settings;
use crate::{
    config::{Config, sources::Resolved},
    kernel::network::interface_address,
};

pub(super) fn command() -> Command {
    Command::new("config")
        .about("Print and check the settings")
        .long_about(
            "Prints every setting with its value and where it comes from: flag, environment, file or default, in this \
             order of precedence; secrets are masked, and commented out. The output is a settings file. Names that are \
             no settings are told as warnings.\n\nExit code 2 if a value is wrong; all wrong values are named at once.",
        )
        .arg(settings::config())
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .conflicts_with("json")
                .help("Print nothing but what is wrong; the interface may be missing"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON: name, value, origin"))
        .args(settings::flags())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let resolved = settings::resolve(args)?;
    if args.get_flag("check") {
        return judge(&resolved, settings::address_or_none_yet);
    }
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    if args.get_flag("json") {
        println!("{}", serde_json::to_string_pretty(&resolved.shown())?);
    } else {
        print!("{}", resolved.print());
    }
    judge(&resolved, interface_address)
}

/// Says what may be meant otherwise; what is wrong is the error.
fn judge(resolved: &Resolved, interface_address: fn(&str) -> Option<Ipv4Addr>) -> Result<ExitCode> {
    let config = Config::new(resolved, interface_address).map_err(|wrong| BadInput(wrong.to_string()));
    let remarks = config.as_ref().map_or(&[][..], |config| &config.remarks);
    #[allow(clippy::print_stderr, reason = "the answer to the command is a settings file, or JSON")]
    for remark in resolved.complaints().iter().chain(remarks) {
        eprintln!("warning: {remark}");
    }
    config?;
    Ok(ExitCode::SUCCESS)
}
