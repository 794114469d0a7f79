//! Brings the kernel path up for the best mode that works, and takes it away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya_log::EbpfLogger;
use dfaas_common::maps;

use super::{Active, KernelPlane, exemption, obedience::Obedience};
use crate::{
    config::Config,
    kernel::{
        btf::KernelBtf,
        clock::monotonic_ns,
        load::{self, KernelSettings},
        mirror::Mirror,
        mode::{Mode, obstacles},
        network::{Network, links},
        next_hops::{NextHops, Place},
        object,
        pins::Pins,
        tables::{Events, Tables},
    },
};

/// Heartbeats that a former agent's peers have to come back.
const HOLD_HEARTBEATS: u32 = 5;
/// How often the log of programs built for debugging is read.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

fn settings(config: &Config) -> KernelSettings {
    KernelSettings {
        interface: config.kernel.interface.clone(),
        service: config.node.service,
        tunnel: config.kernel.tunnel,
        placed: config.kernel.placed,
        handoff: config.kernel.handoff,
        aliases: config.kernel.aliases,
        hint_way: config.kernel.hint_way,
        pins: Pins::new(&config.kernel.pin_dir),
    }
}

impl KernelPlane {
    /// Loads for the wanted mode, or the best that works; attaches nothing yet. A mode that was asked for by name and
    /// does not work is an error.
    pub(in crate::agent) fn load(config: &Config) -> Result<Self> {
        let mut why = Vec::new();
        let pins = settings(config).pins;
        let is_fresh = !pins.exists(maps::ROUTES);
        let modes: &[Mode] = match config.kernel.mode {
            None => &[Mode::Handoff, Mode::Observe],
            Some(Mode::Handoff) => &[Mode::Handoff],
            Some(Mode::Observe) => &[Mode::Observe],
            Some(Mode::Off) => &[],
        };
        for mode in modes {
            match Self::load_mode(config, *mode, &why, is_fresh) {
                Ok(plane) => return Ok(plane),
                Err(e) => why.push(format!("{mode}: {e:#}")),
            }
        }
        if is_fresh && let Err(e) = pins.remove_all() {
            tracing::warn!("cannot remove what was made in vain: {e:#}");
        }
        if let Some(wanted) = config.kernel.mode
            && wanted != Mode::Off
        {
            bail!("mode {wanted} does not work here: {}", why.join("; "));
        }
        Ok(Self { mode: Mode::Off, xdp: None, why, active: None, is_fresh, firewall: None })
    }

    pub(super) fn load_mode(config: &Config, mode: Mode, why: &[String], is_fresh: bool) -> Result<Self> {
        let active = Active::load(config, mode)?;
        // Before the programs are attached: none of their connections is lost.
        let firewall = (mode == Mode::Handoff).then(|| exemption::start(config)).transpose()?;
        Ok(Self { mode, xdp: None, why: why.to_vec(), active: Some(active), is_fresh, firewall })
    }

    /// Attaches what is loaded. Falls back as [`KernelPlane::load`] does.
    pub(in crate::agent) fn attach(&mut self, config: &Config) -> Result<()> {
        let Some(active) = &mut self.active else {
            // Of a former agent in another mode.
            settings(config).pins.remove_all()?;
            return self.remove_exemption(config);
        };
        match load::attach(&mut active.ebpf, &active.settings, self.mode, config.kernel.xdp) {
            Ok(place) => {
                self.xdp = place;
                if self.mode == Mode::Handoff { Ok(()) } else { self.remove_exemption(config) }
            }
            Err(e) if config.kernel.mode.is_some() => Err(e),
            Err(e) => {
                self.why.push(format!("{}: {e:#}", self.mode));
                active.settings.pins.remove_all()?;
                self.active = None;
                self.mode = Mode::Off;
                self.remove_exemption(config)
            }
        }
    }

    /// From here on peers' new connections are sent back to them.
    pub(in crate::agent) fn drain(&mut self) -> Result<()> {
        self.handoff_mut().map_or(Ok(()), |active| active.obedience.mirror.drain())
    }

    /// Takes the kernel path away.
    pub(in crate::agent) async fn detach(&mut self) -> Result<()> {
        let Some(active) = self.active.take() else { return Ok(()) };
        // The task that puts aliases on `lo` ends with the agent's end of it.
        let Active { settings, next_hops, .. } = active;
        drop(next_hops);
        settings.pins.remove_all()?;
        Network::connect()?.remove_aliases(settings.aliases).await?;
        tracing::info!("kernel path detached");
        Ok(())
    }
}

impl Active {
    fn load(config: &Config, mode: Mode) -> Result<Self> {
        let settings = settings(config);
        nix::net::if_::if_nametoindex(settings.interface.as_str())
            .with_context(|| format!("there is no interface {}", settings.interface))?;
        if mode == Mode::Handoff {
            let obstacles = obstacles(&KernelBtf::running()?);
            if !obstacles.is_empty() {
                bail!("{}", obstacles.join(", "));
            }
        }
        let next_hops = NextHops::start(Place {
            interface: settings.interface.clone(),
            service: *settings.service.ip(),
            aliases: settings.aliases,
        })?;
        let mut ebpf = load::load(object::embedded()?, &settings, mode)?;
        follow_log(&mut ebpf);
        let tables = Tables::open(&settings.pins)?.context("the maps are not pinned")?;
        let mut mirror = Mirror::new(tables, settings.aliases, config.strategy.burst, monotonic_ns()?)?;
        mirror.set_links(links(&settings.interface, *settings.service.ip())?)?;
        let patience = config.overlay.heartbeat * HOLD_HEARTBEATS;
        let obedience = Obedience::new(mirror, config.strategy.grant_lifetime, patience, Instant::now());
        let events = Events::open(&settings.pins)?;
        Ok(Self { ebpf, obedience, events, next_hops, settings })
    }
}

/// Brings the messages of programs built for debugging into our log.
fn follow_log(ebpf: &mut Ebpf) {
    if ebpf.map("AYA_LOGS").is_none() {
        return;
    }
    match EbpfLogger::init(ebpf) {
        Ok(mut logger) => {
            tokio::spawn(async move {
                loop {
                    logger.flush();
                    tokio::time::sleep(LOG_INTERVAL).await;
                }
            });
        }
        Err(e) => tracing::warn!("cannot follow the programs' log: {e}"),
    }
}
