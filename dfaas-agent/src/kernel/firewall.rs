//! Connections that the programs place, kept apart from the host's connection tracking.
//!
//! The stack sees no handshake of them, and NAT takes their socket away (`docs/kernel-notes.md`), so a table of our own
//! exempts their packets from tracking. It is looked at again whenever somebody changes the rules.
//!
//! * [`rules`]: the table as text; [`table`]: what is found of it; [`judge`]: what follows from that
//! * [`nft`]: the program that reads and writes it; [`netfilter`]: who else has rules, and when they change
//! * [`guard`]: the thread that looks

mod guard;
mod judge;
mod netfilter;
mod nft;
mod rules;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::sync::watch;

use self::{guard::Guard, nft::Nft};
pub(crate) use self::{judge::Standing, rules::Exemption};
use crate::mode::FirewallPolicy;

#[derive(Clone, Debug)]
pub(crate) struct FirewallSettings {
    pub(crate) policy: FirewallPolicy,
    /// The program `nft`.
    pub(crate) program: PathBuf,
    pub(crate) exemption: Exemption,
    /// Where the table is written for an operator who loads it himself.
    pub(crate) file: PathBuf,
}

/// What the last look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) standing: Standing,
    /// How often the table had to be put back.
    pub(crate) repaired: u64,
}

/// Looks as long as it lives. The table outlives it, as the programs do.
pub(crate) struct Firewall {
    policy: FirewallPolicy,
    view: watch::Receiver<View>,
    _guard: Option<Guard>,
}

impl Firewall {
    /// Puts the table in place, or looks whether it is there; then goes on looking. An error says why placed
    /// connections would be lost.
    pub(crate) fn start(settings: FirewallSettings) -> Result<Self> {
        let policy = settings.policy;
        if policy == FirewallPolicy::Off {
            let view = watch::channel(View { standing: Standing::Unwatched, repaired: 0 }).1;
            return Ok(Self { policy, view, _guard: None });
        }
        let (guard, view) = Guard::start(settings)?;
        Ok(Self { policy, view, _guard: Some(guard) })
    }

    pub(crate) fn policy(&self) -> FirewallPolicy {
        self.policy
    }

    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }
}

/// Takes the table of an interface away; false if there was none.
pub(crate) fn remove(program: &Path, interface: &str) -> Result<bool> {
    Nft::new(program.to_owned()).remove(&rules::table_name(interface))
}
