//! `dfaas-agent detach`: takes the kernel path away.

use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, Command};
use dfaas_base::command::runtime;

use super::settings;
use crate::{
    config::Config,
    kernel::{
        network::{Network, interface_address},
        pins::Pins,
    },
};

/// The settings that say what there is to take away.
const SETTINGS: [&str; 3] = ["AGENT_INTERFACE", "AGENT_PIN_DIR", "AGENT_ALIAS_RANGE"];

pub(super) fn command() -> Command {
    Command::new("detach")
        .about("Take the kernel path away")
        .long_about(
            "Removes the programs, maps and aliases of a node from the kernel. Connections that the kernel forwards at \
             this moment end. The agent should not run.",
        )
        .arg(settings::config())
        .args(settings::flags().filter(|arg| SETTINGS.contains(&arg.get_id().as_str())))
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let resolved = settings::resolve(args)?;
    let config = Config::new(&resolved, interface_address)?;
    let removed = Pins::new(&config.kernel.pin_dir).remove_all()?;
    let aliases = runtime()?.block_on(async { Network::connect()?.remove_aliases(config.kernel.aliases).await })?;
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    {
        println!("removed {} pins from {} and {aliases} aliases", removed.len(), config.kernel.pin_dir.display());
    }
    Ok(ExitCode::SUCCESS)
}
