//! A network on the host that nobody uses.

use std::path::Path;

use anyhow::{Result, bail};

use super::lease::Lease;
use crate::{netns::run, network::Network};

/// A switch on the host, in the first network that is free.
pub(super) fn on_the_host(lease: &mut Lease) -> Result<(Network, String)> {
    let used = run("ip", &["-o", "-4", "addr", "show"])? + &run("ip", &["-4", "route", "show", "table", "all"])?;
    let is_free = |x: &u8| {
        let bridge = Path::new("/sys/class/net").join(bridge_name(*x));
        !bridge.exists() && !used.contains(&format!(" 10.77.{x}."))
    };
    for x in (0..=u8::MAX).filter(is_free) {
        let bridge = bridge_name(x);
        lease.set_bridge(&bridge)?;
        match Network::new(lease.prefix(), [10, 77, x], Some(&bridge)) {
            Ok(network) => return Ok((network, bridge)),
            // Somebody was faster.
            Err(error) if format!("{error:#}").contains("File exists") => {}
            Err(error) => return Err(error),
        }
    }
    bail!("all networks from 10.77.0.0/24 to 10.77.255.0/24 or their bridges are taken on this machine")
}

fn bridge_name(x: u8) -> String {
    format!("dfaas{x}")
}
