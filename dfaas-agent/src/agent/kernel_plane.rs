//! The kernel path as the agent runs it: fed with decisions and peers, and asked what it has counted.

mod exemption;
mod obedience;
mod programs;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::Result;
use aya::Ebpf;
use dfaas_common::{counters::FunctionCounters, event::Event, peer::Seal, verdict::Verdict};

pub(super) use self::obedience::{KernelView, Orders};
use self::obedience::{Obedience, Time};
use crate::{
    kernel::{
        clock::monotonic_ns,
        firewall::Firewall,
        load::KernelSettings,
        mode::{Mode, XdpPlace},
        network::Links,
        next_hops::NextHops,
        tables::{Events, Tables},
    },
    name::{FunctionName, NodeId},
    peers::{Handoff, Peers},
};

/// Events taken at a time.
const MAX_EVENTS: usize = 64;

/// What is running.
pub(super) struct KernelPlane {
    pub(super) mode: Mode,
    pub(super) xdp: Option<XdpPlace>,
    /// Why the mode is not a better one.
    pub(super) why: Vec<String>,
    active: Option<Active>,
    /// There were no maps of a former agent.
    is_fresh: bool,
    /// Of mode `handoff`.
    pub(super) firewall: Option<Firewall>,
}

/// The maps and programs of a mode other than `off`.
struct Active {
    /// Keeps the programs' file descriptors; attachments and maps are pinned.
    ebpf: Ebpf,
    obedience: Obedience<Tables>,
    events: Events,
    next_hops: NextHops,
    settings: KernelSettings,
}

impl Active {
    /// Has the programs steer frames to the link-layer address that the interface has now.
    fn follow_links(&mut self, links: Option<Links>) -> Result<()> {
        let Some(links) = links else { return Ok(()) };
        if self.obedience.mirror.set_links(links)? {
            tracing::info!(interface = self.settings.interface, "another link-layer address: frames to it are steered");
        }
        Ok(())
    }
}

impl KernelPlane {
    /// If connections can be handed off.
    fn handoff(&self) -> Option<&Active> {
        self.active.as_ref().filter(|_| self.mode == Mode::Handoff)
    }

    fn handoff_mut(&mut self) -> Option<&mut Active> {
        self.active.as_mut().filter(|_| self.mode == Mode::Handoff)
    }

    /// The peers that matter to the kernel.
    fn handoffs(&self, peers: &Peers) -> Vec<(NodeId, Handoff)> {
        let mut handoffs = self.handoff().map_or_else(Vec::new, |_| peers.handoffs());
        handoffs.retain(|(node, _)| peers.is_chosen(node));
        handoffs
    }

    /// Gives peers that can take hand-offs their numbers and aliases.
    pub(super) fn admit(&mut self, peers: &Peers) {
        let handoffs = self.handoffs(peers);
        let Some(active) = &mut self.active else { return };
        active.obedience.admit(&handoffs);
        active.next_hops.want(active.obedience.wanted(&handoffs));
    }

    /// Writes what differs; the view says what came of it.
    ///
    /// Returns how long a decision has taken to get there, if one did.
    pub(super) fn obey(&mut self, orders: Orders<'_>, now: Instant) -> Option<Duration> {
        let handoffs = self.handoffs(orders.peers);
        let active = self.active.as_mut()?;
        let ways = active.next_hops.ways();
        if let Err(e) = active.follow_links(ways.links) {
            tracing::error!("{e:#}");
        }
        let before = active.obedience.view().obeyed;
        match monotonic_ns() {
            Ok(ns) => active.obedience.obey(orders, &handoffs, &ways, Time { now, ns }),
            Err(e) => tracing::error!("{e:#}"),
        }
        let view = active.obedience.view();
        (view.obeyed != before).then_some(view.delay)
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// `None` in mode `off`, where there is nothing to obey.
    pub(super) fn view(&self) -> Option<&KernelView> {
        self.active.as_ref().map(|active| active.obedience.view())
    }

    /// Ends when other next hops are known.
    pub(super) async fn ways_changed(&mut self) {
        match &mut self.active {
            Some(active) => active.next_hops.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Peers of a former agent that have not been heard of since.
    pub(super) fn inherited_peers(&self) -> usize {
        self.handoff().map_or(0, |active| active.obedience.mirror.inherited_peers())
    }

    /// True while a former agent's tables stay as they are.
    pub(super) fn is_holding(&mut self, now: Instant) -> bool {
        self.handoff_mut().is_some_and(|active| active.obedience.is_holding(now))
    }

    /// Ends all traffic with a node that may take part no more.
    pub(super) fn revoke(&mut self, node: &NodeId, now: Instant) -> Result<()> {
        self.active.as_mut().map_or(Ok(()), |active| active.obedience.revoke(node, now))
    }

    /// It may take part again.
    pub(super) fn readmit(&mut self, node: &NodeId) {
        if let Some(active) = &mut self.active {
            active.obedience.readmit(node);
        }
    }

    /// Forgets peers that nobody has heard of for long.
    pub(super) fn forget(&mut self, nodes: &[NodeId]) -> Result<()> {
        self.active.as_mut().map_or(Ok(()), |active| active.obedience.forget(nodes))
    }

    pub(super) fn peer_number(&self, node: &NodeId) -> Option<u32> {
        self.handoff()?.obedience.mirror.peer_number(node)
    }

    /// The address on `lo` that stands for a peer that has a number.
    pub(super) fn alias(&self, node: &NodeId) -> Option<IpAddr> {
        self.handoff()?.obedience.mirror.alias(node).map(IpAddr::V4)
    }

    /// What a peer must put on packets to us; `None` until connections could come to its alias.
    pub(super) fn receive_seal(&mut self, node: &NodeId) -> Option<Seal> {
        let active = self.handoff_mut()?;
        let alias: Ipv4Addr = active.obedience.mirror.alias(node)?;
        let is_there = active.next_hops.ways().aliases.contains(&alias);
        is_there.then(|| active.obedience.mirror.receive_seal(node)).flatten()
    }

    /// What the kernel has counted of a function. In mode `observe` it sees calls that HAProxy sees too: those are not
    /// counted twice.
    pub(super) fn function_counters(&self, name: &FunctionName) -> FunctionCounters {
        let counters = self.handoff().and_then(|active| {
            let mirror = &active.obedience.mirror;
            mirror.maps().function_counters(mirror.function_number(name)?).ok()
        });
        counters.unwrap_or_default()
    }

    /// Connections of a function that were handed to each peer.
    pub(super) fn handed_off(&self, name: &FunctionName) -> BTreeMap<NodeId, u64> {
        let Some(active) = self.handoff() else { return BTreeMap::new() };
        let mirror = &active.obedience.mirror;
        let Some(function) = mirror.function_number(name) else { return BTreeMap::new() };
        let count = |(node, peer): (&NodeId, u32)| {
            let pair = mirror.maps().pair_counters(function, peer).ok()?;
            Some((node.clone(), pair.forwarded))
        };
        mirror.peer_numbers().filter_map(count).collect()
    }

    pub(super) fn verdicts(&self) -> Vec<(Verdict, u64)> {
        self.active.as_ref().and_then(|active| active.obedience.mirror.maps().verdicts().ok()).unwrap_or_default()
    }

    pub(super) fn function_name(&self, number: u32) -> Option<&FunctionName> {
        self.active.as_ref()?.obedience.mirror.function_name(number)
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let Some(active) = &mut self.active else { return Vec::new() };
        std::iter::from_fn(|| active.events.take()).take(MAX_EVENTS).collect()
    }
}
