//! The thread that looks at the rules: at every change, and from time to time.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;

use super::{
    FirewallSettings, View,
    judge::{Losses, Standing, without_table},
    netfilter::{Changes, has_nat},
    nft::Nft,
    table::Found,
};
use crate::mode::FirewallPolicy;

/// The old iptables tells nobody of its changes, and a rule that drops our packets shows in the counters only.
const LOOK: Duration = Duration::from_secs(2);
/// How soon the thread notices that it is to end.
const STEP: Duration = Duration::from_millis(100);

/// Ends the thread when dropped, and waits for it: it would put back a table that is to go.
pub(super) struct Guard {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Guard {
    /// Looks once; an error if placed connections would be lost.
    pub(super) fn start(settings: FirewallSettings) -> Result<(Self, watch::Receiver<View>)> {
        // First, so that no change is missed.
        let changes = Changes::follow()?;
        let mut watcher = Watcher::new(settings);
        let standing = watcher.look();
        if let Standing::Lost(why) = &standing {
            bail!("{why}");
        }
        tell(&standing);
        watcher.started = true;
        let (sender, view) = watch::channel(View { standing, repaired: 0 });
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let run = move || watcher.run(&changes, &sender, &ended);
        let thread = thread::Builder::new().name("firewall".into()).spawn(run);
        let thread = thread.context("cannot start the thread for the firewall")?;
        Ok((Self { end, thread: Some(thread) }, view))
    }
}

struct Watcher {
    settings: FirewallSettings,
    nft: Nft,
    losses: Losses,
    /// Has looked once: what is missing now was there before.
    started: bool,
    repaired: u64,
}

impl Watcher {
    fn new(settings: FirewallSettings) -> Self {
        let nft = Nft::new(settings.program.clone());
        Self { settings, nft, losses: Losses::default(), started: false, repaired: 0 }
    }

    fn run(&mut self, changes: &Changes, view: &watch::Sender<View>, ended: &AtomicBool) {
        let mut looked = Instant::now();
        while !ended.load(Relaxed) {
            let changed = changes.wait(STEP).unwrap_or_else(|_| {
                thread::sleep(STEP);
                false
            });
            if !changed && looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            let standing = self.look();
            let next = View { standing, repaired: self.repaired };
            if view.borrow().standing != next.standing {
                tell(&next.standing);
            }
            view.send_if_modified(|old| std::mem::replace(old, next.clone()) != next);
        }
    }

    fn look(&mut self) -> Standing {
        match self.try_look() {
            Ok(standing) => standing,
            Err(e) => without_table(has_nat().unwrap_or(true), &format!("{e:#}")),
        }
    }

    fn try_look(&mut self) -> Result<Standing> {
        let beside_nat = has_nat()?;
        if !self.nft.exists() {
            return Ok(without_table(beside_nat, &self.install_nft()));
        }
        let rules = self.settings.exemption.rules(beside_nat);
        let found = self.nft.find(&rules)?;
        if let Found::Ours(counters) = found {
            return Ok(self.losses.find(counters).map_or(Standing::Exempt, |way| self.dropped(way)));
        }
        if self.settings.policy == FirewallPolicy::Check {
            // What was loaded by hand before somebody else used NAT does as well, but for ports redirected to ours.
            if beside_nat && matches!(self.nft.find(&self.settings.exemption.rules(false))?, Found::Ours(_)) {
                return Ok(Standing::Exempt);
            }
            return Ok(without_table(beside_nat, &self.load_by_hand(&rules.text)));
        }
        self.nft.install(&rules)?;
        if self.started {
            self.repaired += 1;
            tracing::warn!("firewall: table {} was removed, or does not fit any more: put back", rules.table);
        }
        Ok(Standing::Exempt)
    }

    fn install_nft(&self) -> String {
        format!("install nftables (there is no {}) and start the agent again", self.nft.program().display())
    }

    /// The exact command; the file is written for it.
    fn load_by_hand(&self, text: &str) -> String {
        let file = self.settings.file.display();
        match fs::write(&self.settings.file, text) {
            Ok(()) => format!("run `nft -f {file}`, or set AGENT_FIREWALL=manage"),
            Err(e) => format!("set AGENT_FIREWALL=manage (cannot write {file}: {e})"),
        }
    }

    fn dropped(&self, way: &str) -> Standing {
        let (hook, port) = if way == "arriving" { ("input", "dport") } else { ("output", "sport") };
        let service = self.settings.exemption.service.port();
        let (network, len) = self.settings.exemption.aliases;
        Standing::Lost(format!(
            "a firewall rule drops all {way} packets of connections that the kernel places: accept `ct state untracked \
             tcp {port} {service}` and `ct state untracked ip {} {network}/{len}` in the {hook} chain \
             (deploy/README.md, Firewall)",
            if way == "arriving" { "daddr" } else { "saddr" }
        ))
    }
}

fn tell(standing: &Standing) {
    match standing {
        Standing::Exempt | Standing::Unwatched => tracing::info!("firewall: {standing}"),
        Standing::Bare(_) => tracing::warn!("firewall: {standing}"),
        Standing::Lost(_) => tracing::error!("firewall: {standing}"),
    }
}
