//! `dfaas-agent config`: the settings in force.

use std::{net::Ipv4Addr, process::ExitCode};

use anyhow::Result;
use clap::Args;
use dfaas_base::BadInput;

use super::settings::{Settings, address_or_none_yet};
use crate::{
    config::{self, sources::Resolved},
    kernel::network::interface_address,
};

/// Print and check the settings
#[derive(Debug, Args)]
#[command(
    long_about = "Prints every setting with its value and where it comes from: flag, environment, file or default, in this \
                  order of precedence; secrets are masked, and commented out. The output is a settings file. Names that \
                  are no settings are told as warnings.\n\nExit code 2 if a value is wrong; all wrong values are named at \
                  once."
)]
pub struct Config {
    /// Print nothing but what is wrong; the interface may be missing
    #[arg(long, conflicts_with = "json")]
    check: bool,
    /// As JSON: name, value, origin
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Config {
    pub fn run(self) -> Result<ExitCode> {
        let resolved = self.settings.resolve()?;
        if self.check {
            return judge(&resolved, address_or_none_yet);
        }
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        if self.json {
            println!("{}", serde_json::to_string_pretty(&resolved.shown())?);
        } else {
            print!("{}", resolved.print());
        }
        judge(&resolved, interface_address)
    }
}

/// Says what may be meant otherwise; what is wrong is the error.
fn judge(resolved: &Resolved, interface_address: fn(&str) -> Option<Ipv4Addr>) -> Result<ExitCode> {
    let config = config::Config::new(resolved, interface_address).map_err(|wrong| BadInput(wrong.to_string()));
    let remarks = config.as_ref().map_or(&[][..], |config| &config.remarks);
    #[allow(clippy::print_stderr, reason = "the answer to the command is a settings file, or JSON")]
    for remark in resolved.complaints().iter().chain(remarks) {
        eprintln!("warning: {remark}");
    }
    config?;
    Ok(ExitCode::SUCCESS)
}
