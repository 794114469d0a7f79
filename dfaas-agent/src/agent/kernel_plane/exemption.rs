//! The kernel path beside the host's firewall.

use anyhow::Result;

use super::KernelPlane;
use crate::{
    config::Config,
    kernel::{
        firewall::{self, Exemption, Firewall, FirewallSettings, Standing},
        mode::Mode,
    },
    mode::FirewallPolicy,
};

/// Puts the exemption in place; an error if placed connections would be lost.
pub(super) fn start(config: &Config) -> Result<Firewall> {
    Firewall::start(FirewallSettings {
        policy: config.kernel.firewall,
        program: config.kernel.nft.clone(),
        exemption: Exemption {
            interface: config.kernel.interface.clone(),
            service: config.node.service,
            aliases: config.kernel.aliases,
        },
        file: config.run_dir.join("firewall.nft"),
    })
}

impl KernelPlane {
    /// Takes the exemption away. After the programs: no connection is placed without it.
    pub(in crate::agent) fn remove_exemption(&mut self, config: &Config) -> Result<()> {
        self.firewall = None;
        if config.kernel.firewall == FirewallPolicy::Manage
            && firewall::remove(&config.kernel.nft, &config.kernel.interface)?
        {
            tracing::info!("firewall: table removed");
        }
        Ok(())
    }

    /// Why placed connections are lost to the host's firewall, if they are.
    pub(in crate::agent) fn lost_to_firewall(&self) -> Option<String> {
        match self.firewall.as_ref()?.view().standing {
            Standing::Lost(why) => Some(why),
            _ => None,
        }
    }

    /// Leaves `handoff` for `observe`: HAProxy serves what the kernel path would lose. Live forwarded connections end.
    pub(in crate::agent) fn fall_back(&mut self, config: &Config, why: &str) -> Result<()> {
        let mut reasons = self.why.clone();
        reasons.push(format!("{}: {why}", self.mode));
        let guarded = self.firewall.take();
        *self = Self::load_mode(config, Mode::Observe, &reasons, self.is_fresh)?;
        self.firewall = guarded;
        self.attach(config)
    }
}
