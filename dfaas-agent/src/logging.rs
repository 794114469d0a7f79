//! One facade for all logs: `tracing`. Libraries that use `log` are bridged into it.

use anyhow::{Context as _, Result};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Config;

/// Libraries that could fill the disk. One warns of each message that is forged, or finds a queue full: both are counted instead.
/// The other warns of kernels that are newer than it, at each look at an interface.
const QUIET: &str = "libp2p_gossipsub=error,netlink_packet_route=error";

/// `RUST_LOG` wins over the settings.
pub(crate) fn start(config: &Config) -> Result<()> {
    let default =
        if config.debug { "info,dfaas_agent=debug" } else { "info,libp2p=warn,libp2p_kad=error,netlink_proto=warn" };
    let default = format!("{default},{QUIET}");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder =
        fmt().with_env_filter(filter).with_ansi(config.log_colors).with_target(false).with_writer(std::io::stderr);
    let result = if config.log_datetime { builder.try_init() } else { builder.without_time().try_init() };
    result.map_err(|e| anyhow::anyhow!("{e}")).context("cannot start logging")
}
