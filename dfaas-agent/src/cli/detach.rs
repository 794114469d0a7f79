//! `dfaas-agent detach`: takes the kernel path away.

use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, Command};
use dfaas_base::command::runtime;

use super::settings;
use crate::{
    config::{Config, keys},
    kernel::{firewall, network::Network, pins::Pins},
};

/// The settings that say what there is to take away.
const SETTINGS: [&str; 4] =
    [keys::INTERFACE.key.name, keys::PIN_DIR.key.name, keys::ALIAS_RANGE.key.name, keys::NFT_BINARY.key.name];

pub(super) fn command() -> Command {
    Command::new("detach")
        .about("Take the kernel path away")
        .long_about(
            "Removes the programs, maps, aliases and firewall rules of a node from the kernel. Connections that the kernel forwards at \
             this moment end. The agent should not run.",
        )
        .arg(settings::config())
        .args(settings::flags().filter(|arg| SETTINGS.contains(&arg.get_id().as_str())))
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let resolved = settings::resolve(args)?;
    let config = Config::new(&resolved, settings::address_or_none_yet)?;
    let removed = Pins::new(&config.kernel.pin_dir).remove_all()?;
    let aliases = runtime()?.block_on(async { Network::connect()?.remove_aliases(config.kernel.aliases).await })?;
    // Behind the programs: no connection is placed without it.
    let table = firewall::remove(&config.kernel.nft, &config.kernel.interface)?;
    let table = if table { "its firewall table" } else { "no firewall table" };
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    {
        let (pins, folder) = (removed.len(), config.kernel.pin_dir.display());
        println!("removed {pins} pins from {folder}, {aliases} aliases and {table}");
    }
    Ok(ExitCode::SUCCESS)
}
