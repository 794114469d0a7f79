//! What the kernel is told, and how far it obeys: no I/O but the maps, whose place a twin in memory can take. The clocks are
//! passed in.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use dfaas_common::flow::Patience;

use crate::{
    decision::Decision,
    kernel::{
        maps::Maps,
        mirror::{Mirror, PeerFacts},
        next_hops::{Wanted, Ways},
    },
    name::{FunctionName, NodeId},
    once::Once,
    peers::{Handoff, MEMORY, Peers},
    proxy::server_timeout,
};

/// How often a peer's entry is written at least: what it granted lapses otherwise.
const REFRESH: Duration = Duration::from_secs(1);
/// How often the maps are compared with what was written.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the slow chores run.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// How long a tunnel key is used.
const SEAL_LIFETIME: Duration = Duration::from_mins(10);
/// A forwarded connection on which both sides may still have something to say, and that is silent for longer, is forgotten.
const OPEN_LIMIT: Duration = Duration::from_hours(2);
/// The same of one whose answer has been given, or is due.
const ENDING_LIMIT: Duration = Duration::from_mins(1);

/// The time by both clocks: the agent's, and the monotonic one that the programs read.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Time {
    pub(in crate::agent) now: Instant,
    pub(in crate::agent) ns: u64,
}

/// What is to be obeyed.
#[derive(Clone, Copy)]
pub(in crate::agent) struct Orders<'a> {
    pub(in crate::agent) decision: &'a Decision,
    /// When it was made.
    pub(in crate::agent) decided: Instant,
    /// Calls per second on kept-alive connections.
    pub(in crate::agent) kept: &'a BTreeMap<FunctionName, f64>,
    pub(in crate::agent) peers: &'a Peers,
}

/// What the agent sees of the kernel path, as it sees HAProxy.
#[derive(Clone, Debug, Default)]
pub(in crate::agent) struct KernelView {
    /// Version of the decision it obeys, and how long it took to get there.
    pub(in crate::agent) obeyed: u32,
    pub(in crate::agent) delay: Duration,
    /// What keeps it from obeying. `None`: all is well.
    pub(in crate::agent) error: Option<String>,
    /// What keeps single peers from being used.
    pub(in crate::agent) peer_troubles: BTreeMap<NodeId, String>,
    /// Entries that were found to differ from what was written, and put right.
    pub(in crate::agent) repaired: u64,
    /// Live forwarded connections, when they were last counted.
    pub(in crate::agent) flows: u64,
}

pub(in crate::agent) struct Obedience<M> {
    pub(in crate::agent) mirror: Mirror<M>,
    view: KernelView,
    grant_lifetime: Duration,
    /// What was written of each peer, and when.
    written: BTreeMap<NodeId, (PeerFacts, Instant)>,
    /// Former members, whose numbers are not free yet.
    revoked: BTreeMap<NodeId, Instant>,
    /// A former agent's tables stay as they are until its peers are back, or this time is over.
    hold_until: Option<Instant>,
    /// The longest that a call may take.
    longest_call: Duration,
    seals_drawn: Instant,
    compared: Instant,
    housekept: Instant,
    trouble: Once<String>,
}

impl<M: Maps> Obedience<M> {
    /// `patience`: how long the peers of a former agent have to come back.
    pub(super) fn new(mirror: Mirror<M>, grant_lifetime: Duration, patience: Duration, now: Instant) -> Self {
        let hold_until = (mirror.inherited_peers() > 0).then(|| now + patience);
        Self {
            mirror,
            view: KernelView::default(),
            grant_lifetime,
            written: BTreeMap::new(),
            revoked: BTreeMap::new(),
            hold_until,
            longest_call: Duration::ZERO,
            seals_drawn: now,
            compared: now,
            housekept: now,
            trouble: Once::default(),
        }
    }

    pub(super) fn view(&self) -> &KernelView {
        &self.view
    }

    /// A new agent knows no peer yet. Writing tables without them would refuse calls that the old tables forward.
    pub(super) fn is_holding(&mut self, now: Instant) -> bool {
        let Some(until) = self.hold_until else { return false };
        if self.mirror.inherited_peers() > 0 && now < until {
            return true;
        }
        self.hold_until = None;
        match self.mirror.forget_inherited() {
            Ok(0) => {}
            Ok(n) => tracing::info!("{n} peers of the former agent have not come back"),
            Err(e) => tracing::warn!("cannot forget peers: {e:#}"),
        }
        false
    }

    /// Gives peers that can take hand-offs their numbers.
    pub(super) fn admit(&mut self, handoffs: &[(NodeId, Handoff)]) {
        for (node, handoff) in handoffs {
            if self.mirror.peer_number(node).is_some() || self.revoked.contains_key(node) {
                continue;
            }
            if self.mirror.admit_peer(node, handoff.tunnel).is_some() {
                let alias = self.mirror.alias(node).map(|alias| alias.to_string()).unwrap_or_default();
                tracing::info!(peer = %node, tunnel = %handoff.tunnel, alias, "peer takes hand-offs");
            }
        }
    }

    /// What must be known and done for the admitted peers.
    pub(super) fn wanted(&self, handoffs: &[(NodeId, Handoff)]) -> Wanted {
        let admitted = handoffs.iter().filter(|(node, _)| self.mirror.peer_number(node).is_some());
        Wanted {
            tunnels: admitted.map(|(_, handoff)| handoff.tunnel).collect(),
            aliases: self.mirror.peer_numbers().filter_map(|(node, _)| self.mirror.alias(node)).collect(),
        }
    }

    /// Writes what differs. What fails is told in the view and tried again at the next call; the rest is done.
    pub(super) fn obey(&mut self, orders: Orders<'_>, handoffs: &[(NodeId, Handoff)], ways: &Ways, time: Time) {
        self.write_peers(orders.peers, handoffs, ways, time);
        let routes = self.write_routes(orders);
        let compared = self.compare(time.now);
        let housekept = self.keep_house(time);
        let aliases = ways.alias_trouble.clone().map_or(Ok(()), |trouble| Err(anyhow::anyhow!(trouble)));
        let result = routes.and(compared).and(housekept).and(aliases);
        self.view.error = result.err().map(|e| format!("{e:#}"));
        match &self.view.error {
            Some(error) if self.trouble.is_new(error.clone()) => tracing::error!("kernel tables: {error}"),
            None if self.trouble.is_over() => tracing::info!("kernel tables: all is written again"),
            Some(_) | None => {}
        }
    }

    fn write_routes(&mut self, orders: Orders<'_>) -> Result<()> {
        let written = self.mirror.write_routes(orders.decision, orders.kept)?;
        if self.view.obeyed != orders.decision.version {
            self.view.obeyed = orders.decision.version;
            let calls = orders.decision.functions.values().map(|table| server_timeout(table.timeout));
            self.longest_call = calls.max().unwrap_or_default();
            self.view.delay = orders.decided.elapsed();
            tracing::debug!(version = orders.decision.version, written, "kernel obeys");
        }
        Ok(())
    }

    fn write_peers(&mut self, peers: &Peers, handoffs: &[(NodeId, Handoff)], ways: &Ways, time: Time) {
        let mut troubles = BTreeMap::new();
        for (node, handoff) in handoffs {
            if self.revoked.contains_key(node) {
                continue;
            }
            if let Err(trouble) = self.write_peer(peers, node, handoff, ways, time) {
                if self.view.peer_troubles.get(node) != Some(&trouble) {
                    tracing::info!(peer = %node, "not fully usable: {trouble}");
                }
                troubles.insert(node.clone(), trouble);
            }
        }
        self.view.peer_troubles = troubles;
    }

    fn write_peer(
        &mut self,
        peers: &Peers,
        node: &NodeId,
        handoff: &Handoff,
        ways: &Ways,
        time: Time,
    ) -> Result<(), String> {
        if self.mirror.peer_number(node).is_none() {
            return Err("no number is left in the kernel's tables: HAProxy forwards to it".into());
        }
        let trouble = ways.troubles.get(&handoff.tunnel).cloned().map_or(Ok(()), Err);
        let Some(next_hop) = ways.next_hops.get(&handoff.tunnel).copied() else { return trouble };
        let expires_ns = time.ns + self.grant_lifetime.as_nanos() as u64;
        let facts = PeerFacts {
            tunnel: handoff.tunnel,
            service: handoff.service,
            next_hop,
            send: handoff.seal,
            state: peers.standing(node, time.now).kernel_state(),
            expires_ns,
        };
        // What was granted lapses unless it is written again and again; otherwise only a difference is.
        let known = self.written.get(node).is_some_and(|(old, when)| {
            time.now.duration_since(*when) < REFRESH && PeerFacts { expires_ns, ..old.clone() } == facts
        });
        if !known {
            self.mirror.write_peer(node, &facts).map_err(|e| format!("{e:#}"))?;
            self.written.insert(node.clone(), (facts, time.now));
        }
        trouble
    }

    fn compare(&mut self, now: Instant) -> Result<()> {
        if now.duration_since(self.compared) < COMPARE_INTERVAL {
            return Ok(());
        }
        self.compared = now;
        let repaired = self.mirror.repair()?;
        if repaired > 0 {
            tracing::warn!("somebody else wrote to the kernel's tables: {repaired} entries put right");
            self.view.repaired += repaired as u64;
        }
        Ok(())
    }

    fn keep_house(&mut self, time: Time) -> Result<()> {
        if time.now.duration_since(self.housekept) < HOUSEKEEPING {
            return Ok(());
        }
        self.housekept = time.now;
        self.mirror.rotate_cookie_key(time.ns)?;
        if time.now.duration_since(self.seals_drawn) > SEAL_LIFETIME {
            self.seals_drawn = time.now;
            self.written.clear();
            self.mirror.rotate_seals();
        }
        let ns = |duration: Duration| duration.as_nanos() as u64;
        let patience = Patience {
            answered_ns: ns(ENDING_LIMIT),
            waiting_ns: ns(self.longest_call + ENDING_LIMIT),
            open_ns: ns(OPEN_LIMIT),
        };
        let (swept, live) = self.mirror.maps_mut().sweep(time.ns, &patience)?;
        self.view.flows = live as u64;
        if swept > 0 {
            tracing::debug!("{swept} forwarded connections were silent for too long and are forgotten");
        }
        let forgotten = |since: &Instant| time.now.duration_since(*since) > MEMORY;
        let revoked: Vec<NodeId> =
            self.revoked.extract_if(.., |_, since| forgotten(since)).map(|(node, _)| node).collect();
        self.forget(&revoked)?;
        self.mirror.release(time.ns.saturating_sub(ns(MEMORY)))
    }

    /// Ends all traffic with a node that may take part no more. Its number is kept for a while.
    pub(super) fn revoke(&mut self, node: &NodeId, now: Instant) -> Result<()> {
        self.written.remove(node);
        self.revoked.insert(node.clone(), now);
        self.mirror.revoke_peer(node)
    }

    /// It may take part again.
    pub(super) fn readmit(&mut self, node: &NodeId) {
        self.revoked.remove(node);
    }

    /// Forgets peers that nobody has heard of for long.
    pub(super) fn forget(&mut self, nodes: &[NodeId]) -> Result<()> {
        nodes.iter().try_for_each(|node| {
            self.written.remove(node);
            self.mirror.remove_peer(node)
        })
    }
}

#[cfg(test)]
mod tests;
