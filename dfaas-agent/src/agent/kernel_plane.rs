//! The kernel path as the agent runs it: brought up for the best mode that works, fed with decisions and peers.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use aya_log::EbpfLogger;
use dfaas_common::{
    counters::FunctionCounters,
    event::Event,
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE, Answer},
    verdict::Verdict,
};

use crate::{
    config::Config,
    decision::Decision,
    kernel::{
        btf::KernelBtf,
        clock::monotonic_ns,
        load::{self, KernelSettings},
        mode::{Mode, XdpPlace, obstacles},
        network::{Network, NextHop},
        object,
        pins::Pins,
        secrets::rotate_cookie_key,
        sync::{PeerFacts, Sync},
        tables::{Events, Tables},
    },
    name::{FunctionName, NodeId},
    peers::Peers,
};

/// How often a peer's entry is written at least.
const REFRESH: Duration = Duration::from_secs(1);
/// How often the tables are compared with what was written.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a next hop is believed.
const NEXT_HOP_LIFETIME: Duration = Duration::from_secs(3);
/// How long a tunnel key is used.
const SEAL_LIFETIME: Duration = Duration::from_mins(10);
/// A live forwarded connection that is idle for longer is forgotten.
const IDLE_LIMIT: Duration = Duration::from_hours(2);

/// How often the log of programs built for debugging is read.
const LOG_INTERVAL: Duration = Duration::from_millis(100);
/// Events taken at a time.
const MAX_EVENTS: usize = 64;

/// What is running.
pub(super) struct KernelPlane {
    pub(super) mode: Mode,
    pub(super) xdp: Option<XdpPlace>,
    /// Why the mode is not a better one.
    pub(super) why: Vec<String>,
    pub(super) active: Option<Active>,
}

/// The maps and programs of a mode other than `off`.
pub(super) struct Active {
    /// Keeps the programs' file descriptors; attachments and maps are pinned.
    ebpf: Ebpf,
    pub(super) sync: Sync,
    events: Events,
    network: Network,
    settings: KernelSettings,
    grant_lifetime: Duration,
    seals_drawn: Instant,
    next_hops: BTreeMap<Ipv4Addr, (NextHop, Instant)>,
    /// What was written of each peer, and when.
    written: BTreeMap<NodeId, (PeerFacts, Instant)>,
    live: usize,
    compared: Instant,
    /// Table entries that were found to differ from what was written, and put right.
    pub(super) repaired: u64,
}

pub(super) fn settings(config: &Config) -> KernelSettings {
    KernelSettings {
        interface: config.kernel.interface.clone(),
        service: config.node.service,
        tunnel: config.kernel.tunnel,
        placed: config.kernel.placed,
        handoff: config.kernel.handoff,
        aliases: config.kernel.aliases,
        pins: Pins::new(&config.kernel.pin_dir),
    }
}

impl KernelPlane {
    /// Loads for the wanted mode, or the best that works; attaches nothing yet. A mode that was asked for by name and
    /// does not work is an error.
    pub(super) fn load(config: &Config) -> Result<Self> {
        let mut why = Vec::new();
        let modes: &[Mode] = match config.kernel.mode {
            None => &[Mode::Handoff, Mode::Observe],
            Some(Mode::Handoff) => &[Mode::Handoff],
            Some(Mode::Observe) => &[Mode::Observe],
            Some(Mode::Off) => &[],
        };
        for mode in modes {
            match Active::load(config, *mode) {
                Ok(active) => return Ok(Self { mode: *mode, xdp: None, why, active: Some(active) }),
                Err(e) => why.push(format!("{mode}: {e:#}")),
            }
        }
        if let Some(wanted) = config.kernel.mode
            && wanted != Mode::Off
        {
            bail!("mode {wanted} does not work here: {}", why.join("; "));
        }
        Ok(Self { mode: Mode::Off, xdp: None, why, active: None })
    }

    /// Attaches what is loaded. Falls back as [`KernelPlane::load`] does.
    pub(super) fn attach(&mut self, config: &Config) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        match load::attach(&mut active.ebpf, &active.settings, self.mode, config.kernel.xdp) {
            Ok(place) => {
                self.xdp = place;
                Ok(())
            }
            Err(e) if config.kernel.mode.is_some() => Err(e),
            Err(e) => {
                self.why.push(format!("{}: {e:#}", self.mode));
                active.settings.pins.remove_all()?;
                self.active = None;
                self.mode = Mode::Off;
                Ok(())
            }
        }
    }
}

impl KernelPlane {
    /// The maps, if connections can be handed off.
    pub(super) fn handoff(&self) -> Option<&Active> {
        self.active.as_ref().filter(|_| self.mode == Mode::Handoff)
    }

    pub(super) fn handoff_mut(&mut self) -> Option<&mut Active> {
        self.active.as_mut().filter(|_| self.mode == Mode::Handoff)
    }

    /// What the kernel has counted of a function. In mode `observe` it sees calls that HAProxy sees too: those are not
    /// counted twice.
    pub(super) fn function_counters(&self, name: &FunctionName) -> FunctionCounters {
        let counters = self.handoff().and_then(|active| {
            let number = active.sync.function_number(name)?;
            active.sync.tables().function_counters(number).ok()
        });
        counters.unwrap_or_default()
    }

    /// Connections of a function that were handed to each peer.
    pub(super) fn handed_off(&self, name: &FunctionName) -> BTreeMap<NodeId, u64> {
        let Some(active) = self.handoff() else { return BTreeMap::new() };
        let Some(function) = active.sync.function_number(name) else { return BTreeMap::new() };
        let count = |(node, peer): (&NodeId, u32)| {
            let pair = active.sync.tables().pair_counters(function, peer).ok()?;
            Some((node.clone(), pair.forwarded))
        };
        active.sync.peer_numbers().filter_map(count).collect()
    }

    pub(super) fn verdicts(&self) -> Vec<(Verdict, u64)> {
        self.active.as_ref().and_then(|active| active.sync.tables().verdicts().ok()).unwrap_or_default()
    }

    /// Live forwarded connections, when they were last counted.
    pub(super) fn flows(&self) -> u64 {
        self.handoff().map_or(0, |active| active.live as u64)
    }

    pub(super) fn function_name(&self, number: u32) -> Option<&FunctionName> {
        self.active.as_ref()?.sync.function_name(number)
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let Some(active) = &mut self.active else { return Vec::new() };
        std::iter::from_fn(|| active.events.take()).take(MAX_EVENTS).collect()
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
        let mut ebpf = load::load(object::embedded()?, &settings, mode)?;
        follow_log(&mut ebpf);
        let mut tables = Tables::open(&settings.pins)?.context("the maps are not pinned")?;
        rotate_cookie_key(&mut tables)?;
        for (index, text) in [(ANSWER_BUSY, BUSY), (ANSWER_UNAVAILABLE, UNAVAILABLE)] {
            tables.set_answer(index, &answer(text)?)?;
        }
        let sync = Sync::new(tables, settings.aliases, config.strategy.burst);
        let events = Events::open(&settings.pins)?;
        Ok(Self {
            ebpf,
            sync,
            events,
            network: Network::connect()?,
            settings,
            grant_lifetime: config.strategy.grant_lifetime,
            seals_drawn: Instant::now(),
            next_hops: BTreeMap::new(),
            written: BTreeMap::new(),
            live: 0,
            compared: Instant::now(),
            repaired: 0,
        })
    }

    /// Number and alias of a peer; the alias is on `lo` when this returns.
    pub(super) async fn admit(&mut self, node: &NodeId, tunnel: Ipv4Addr) -> Result<Option<Ipv4Addr>> {
        let Some((_, alias)) = self.sync.admit_peer(node, tunnel) else { return Ok(None) };
        self.network.add_alias(alias).await?;
        Ok(Some(alias))
    }

    /// Writes what is known of all peers that take hand-offs.
    pub(super) async fn write_peers(&mut self, peers: &Peers, now: Instant) -> Result<()> {
        let expires_ns = monotonic_ns()? + self.grant_lifetime.as_nanos() as u64;
        let known = peers.handoffs();
        for (node, handoff) in known {
            if self.sync.peer_number(&node).is_none() {
                continue;
            }
            let Some(next_hop) = self.next_hop(handoff.tunnel, now).await? else { continue };
            let facts = PeerFacts {
                tunnel: handoff.tunnel,
                service: handoff.service,
                next_hop,
                send: handoff.seal,
                state: peers.standing(&node, now).kernel_state(),
                expires_ns,
            };
            // What was granted lapses unless it is written again and again; otherwise only a difference is.
            let known = self.written.get(&node).is_some_and(|(old, when)| {
                now.duration_since(*when) < REFRESH && PeerFacts { expires_ns, ..old.clone() } == facts
            });
            if !known {
                self.sync.write_peer(&node, &facts)?;
                self.written.insert(node, (facts, now));
            }
        }
        Ok(())
    }

    /// From what is remembered; asked again from time to time. One that cannot be had any more stays in use.
    async fn next_hop(&mut self, address: Ipv4Addr, now: Instant) -> Result<Option<NextHop>> {
        let known = self.next_hops.get(&address).copied();
        if let Some((next_hop, when)) = known
            && now.duration_since(when) < NEXT_HOP_LIFETIME
        {
            return Ok(Some(next_hop));
        }
        let Some(next_hop) = self.network.next_hop(address).await? else {
            tracing::debug!(%address, "no link-layer address at the moment");
            return Ok(known.map(|(next_hop, _)| next_hop));
        };
        self.next_hops.insert(address, (next_hop, now));
        Ok(Some(next_hop))
    }

    pub(super) fn write_routes(&mut self, decision: &Decision, kept: &BTreeMap<FunctionName, f64>) -> Result<usize> {
        self.sync.write_routes(decision, kept)
    }

    /// Looks once a second whether the maps still say what was written.
    pub(super) fn compare(&mut self, now: Instant) -> Result<()> {
        if now.duration_since(self.compared) < COMPARE_INTERVAL {
            return Ok(());
        }
        self.compared = now;
        let repaired = self.sync.repair()?;
        if repaired > 0 {
            tracing::warn!("somebody else wrote to the kernel's tables: {repaired} entries put right");
            self.repaired += repaired as u64;
        }
        Ok(())
    }

    /// Ends all traffic with a node that may take part no more.
    pub(super) fn revoke(&mut self, node: &NodeId) -> Result<()> {
        self.written.remove(node);
        self.sync.revoke_peer(node)
    }

    /// What must be done from time to time.
    pub(super) fn housekeeping(&mut self, peers: &Peers, now: Instant) -> Result<()> {
        rotate_cookie_key(self.sync.tables_mut())?;
        if now.duration_since(self.seals_drawn) > SEAL_LIFETIME {
            self.seals_drawn = now;
            self.written.clear();
            peers.iter().for_each(|(node, _)| self.sync.rotate_seal(node));
        }
        let before = monotonic_ns()?.saturating_sub(IDLE_LIMIT.as_nanos() as u64);
        let (swept, live) = self.sync.tables_mut().sweep(before)?;
        self.live = live;
        if swept > 0 {
            tracing::info!("{swept} forwarded connections were idle for {IDLE_LIMIT:?} and are forgotten");
        }
        Ok(())
    }

    /// Takes the kernel path away.
    pub(super) async fn detach(&mut self) -> Result<()> {
        self.settings.pins.remove_all()?;
        self.network.remove_aliases(self.settings.aliases).await?;
        Ok(())
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

const BUSY: (&str, &str) = ("429 Too Many Requests", "{\"error\":\"node saturated\"}\n");
const UNAVAILABLE: (&str, &str) = ("503 Service Unavailable", "{\"error\":\"no server\"}\n");

fn answer((status, body): (&str, &str)) -> Result<Answer> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nRetry-After: 1\r\n\
         Connection: close\r\n\r\n{body}"
    );
    Answer::new(text.as_bytes()).context("an answer is too long")
}
