//! `dfaas-agent detach`: takes the kernel path away.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use dfaas_base::command::runtime;

use super::settings::{Selection, Settings, address_or_none_yet};
use crate::{
    config::{Config, keys, setting::Key},
    kernel::{firewall, network::Network, pins::Pins},
};

/// Take the kernel path away
#[derive(Debug, Args)]
#[command(
    long_about = "Removes the programs, maps, aliases and firewall rules of a node from the kernel. Connections that the \
                  kernel forwards at this moment end. The agent should not run."
)]
pub struct Detach {
    #[command(flatten)]
    settings: Settings<OfTheKernelPath>,
}

/// The settings that say what there is to take away.
#[derive(Clone, Copy, Debug)]
struct OfTheKernelPath;

impl Selection for OfTheKernelPath {
    fn has(key: &Key) -> bool {
        let keys = [keys::INTERFACE.key, keys::PIN_DIR.key, keys::ALIAS_RANGE.key, keys::NFT_BINARY.key];
        keys.iter().any(|selected| selected.name == key.name)
    }
}

impl Detach {
    pub fn run(self) -> Result<ExitCode> {
        let resolved = self.settings.resolve()?;
        let config = Config::new(&resolved, address_or_none_yet)?;
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
}
