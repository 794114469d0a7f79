//! What is known of the other nodes. Pure: events and the clock are passed in.

mod address;
mod chosen;
mod heard;
mod peer;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use address::Unproven;
use heard::Heard;
pub(crate) use peer::{Handoff, Peer, Standing, Terms, tunnel_key};

use crate::{
    name::NodeId,
    p2p::{
        direct::NodeState,
        message::{Message, ProxyAddress},
    },
    strategy::PeerView,
};

/// A peer that is gone stays known so long: connections handed to it may live on.
pub(crate) const MEMORY: Duration = Duration::from_mins(10);
/// Authors of broadcasts need not be connected to us, and names cost nothing.
const MAX_NODES: usize = 1024;
/// Of those that are not connected any more so many are remembered.
const MAX_DEPARTED: usize = 256;

/// All other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    own: NodeId,
    terms: Terms,
    nodes: BTreeMap<NodeId, Peer>,
    /// Addresses of this node.
    ours: BTreeSet<IpAddr>,
    /// Those that are used, as of the last [`Peers::choose`], with the addresses of their proxies.
    chosen: BTreeMap<NodeId, SocketAddr>,
    /// What others announce that is not theirs.
    troubles: BTreeMap<NodeId, Unproven>,
}

impl Peers {
    pub(crate) fn new(own: NodeId, terms: Terms) -> Self {
        let (nodes, chosen, troubles) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { own, terms, nodes, ours: BTreeSet::new(), chosen, troubles }
    }

    /// After the settings have changed.
    pub(crate) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Addresses that no peer may call its own.
    pub(crate) fn set_ours(&mut self, addresses: BTreeSet<IpAddr>) {
        self.ours = addresses;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.nodes.iter()
    }

    pub(crate) fn standing(&self, node: &NodeId, now: Instant) -> Standing {
        self.nodes.get(node).map_or(Standing::Silent, |peer| peer.standing(now, &self.terms))
    }

    pub(crate) fn connected(&mut self, node: NodeId, remote: IpAddr) {
        let peer = self.nodes.entry(node).or_default();
        peer.connected = true;
        peer.remotes.insert(remote.to_canonical());
    }

    /// By which addresses the connections with a peer are made now.
    pub(crate) fn reached(&mut self, node: &NodeId, remotes: &[IpAddr], is_doubled: bool) {
        if let Some(peer) = self.nodes.get_mut(node).filter(|_| !remotes.is_empty()) {
            peer.is_doubled = is_doubled;
            peer.remotes = remotes.iter().map(IpAddr::to_canonical).collect();
        }
    }

    pub(crate) fn disconnected(&mut self, node: &NodeId) {
        if let Some(peer) = self.nodes.get_mut(node) {
            peer.connected = false;
        }
    }

    pub(crate) fn identified(&mut self, node: &NodeId, direct: bool) {
        if let Some(peer) = self.nodes.get_mut(node) {
            peer.direct = direct;
        }
    }

    /// A broadcast. Those that say nothing to us are ignored, as the original does: grants that do not name us,
    /// a margin of a node that has not said what it is (B5), texts.
    pub(crate) fn broadcast(&mut self, node: NodeId, message: Message, now: Instant) {
        let says_nothing = match &message {
            Message::Text(_) | Message::Unknown(_) => true,
            Message::Margin(_) => !self.nodes.contains_key(&node),
            Message::Recalc(_) | Message::NodeMargin(_) | Message::Static(_) => false,
        };
        if says_nothing || !self.has_room(&node) {
            return;
        }
        let peer = self.nodes.entry(node).or_default();
        let ProxyAddress { host, port } = match &message {
            Message::Recalc(info) => info.proxy.clone(),
            Message::NodeMargin(info) => info.proxy.clone(),
            Message::Static(info) => info.proxy.clone(),
            Message::Margin(margin) => {
                if let Some((Heard::NodeMargin { margin: known, .. }, when)) = &mut peer.broadcast {
                    (*known, *when) = (Some(*margin), now);
                    peer.speaks(now);
                }
                return;
            }
            Message::Text(_) | Message::Unknown(_) => return,
        };
        // What it says to us alone is newer; and of two nodes with one key only one is heard there.
        let says_directly = peer
            .state
            .as_ref()
            .is_some_and(|(state, when)| state.proxy.is_some() && now.duration_since(*when) <= self.terms.timeout);
        if !says_directly {
            peer.proxy = Some((host, port));
        }
        let former = peer.broadcast.take();
        let margin = former.as_ref().and_then(|(heard, _)| heard.margin());
        let heard = match message {
            Message::Recalc(mut info) => info.limits.remove(&self.own).map(Heard::Recalc),
            Message::NodeMargin(info) => Some(Heard::NodeMargin { info, margin }),
            Message::Static(info) => Some(Heard::Static(info.functions)),
            Message::Margin(_) | Message::Text(_) | Message::Unknown(_) => None,
        };
        if heard.is_some() {
            peer.speaks(now);
        }
        peer.broadcast = heard.map(|heard| (heard, now)).or(former);
    }

    /// Room for one more; of authors that are only heard of, the one silent for longest makes way.
    fn has_room(&mut self, node: &NodeId) -> bool {
        if self.nodes.len() < MAX_NODES || self.nodes.contains_key(node) {
            return true;
        }
        let hearsay = self.nodes.iter().filter(|(_, peer)| !peer.connected && peer.state.is_none());
        let silent = hearsay.min_by_key(|(_, peer)| peer.heard).map(|(id, _)| id.clone());
        silent.is_some_and(|silent| self.nodes.remove(&silent).is_some())
    }

    pub(crate) fn state(&mut self, node: NodeId, mut state: NodeState, now: Instant) {
        let peer = self.nodes.entry(node).or_default();
        peer.direct = true;
        if let Some(proxy) = &state.proxy {
            peer.proxy = Some((proxy.host.clone(), proxy.port));
        }
        // A peer whose agent has started again has not looked its keys up yet: what it gave before holds.
        if state.tunnel_key.is_none() {
            state.tunnel_key = peer.state.as_ref().and_then(|(old, _)| old.tunnel_key);
        }
        peer.state = Some((state, now));
        peer.speaks(now);
    }

    /// Peers that can take hand-offs: where tunnel and service end, there they speak from, and nobody else had it first.
    pub(crate) fn handoffs(&self) -> Vec<(NodeId, Handoff)> {
        let proven = |(id, peer): (&NodeId, &Peer)| {
            peer.handoff_addresses(&self.ours)?.ok()?;
            Some((peer.since, id.clone(), peer.handoff()?))
        };
        let mut offers: Vec<_> = self.nodes.iter().filter_map(proven).collect();
        offers.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut taken: BTreeSet<Ipv4Addr> = BTreeSet::new();
        let is_first = |(_, _, handoff): &(_, _, Handoff)| {
            let own = [handoff.tunnel, *handoff.service.ip()];
            let is_free = own.iter().all(|address| !taken.contains(address));
            taken.extend(own.iter().filter(|_| is_free));
            is_free
        };
        offers.retain(is_first);
        offers.into_iter().map(|(_, id, handoff)| (id, handoff)).collect()
    }

    /// What the strategy may use: peers that are up. Those that have been silent for less than `grant_lifetime` accept
    /// nothing, but are granted what they need: their data planes go on without their agents.
    pub(crate) fn views(&self, now: Instant, grant_lifetime: Duration) -> BTreeMap<NodeId, PeerView> {
        let view = |peer: &Peer| match peer.standing(now, &self.terms) {
            Standing::Up => Some(peer.view()),
            Standing::Draining | Standing::Silent if !peer.leaves() && peer.age(now) <= grant_lifetime => {
                let mut view = peer.view();
                view.functions.values_mut().for_each(|function| function.limit_out = 0.0);
                Some(view)
            }
            Standing::Draining | Standing::Silent | Standing::Known => None,
        };
        self.nodes.iter().filter_map(|(id, peer)| Some((id.clone(), view(peer)?))).collect()
    }

    /// The same of those that are used.
    pub(crate) fn chosen_views(&self, now: Instant, grant_lifetime: Duration) -> BTreeMap<NodeId, PeerView> {
        let mut views = self.views(now, grant_lifetime);
        views.retain(|node, _| self.is_chosen(node));
        views
    }

    /// It is no longer a member.
    pub(crate) fn remove(&mut self, node: &NodeId) {
        self.nodes.remove(node);
        self.chosen.remove(node);
    }

    /// Forgets those that have been gone for long, and of many departed ones those that are not used and were heard last
    /// the longest ago; returns them.
    pub(crate) fn forget(&mut self, now: Instant) -> Vec<NodeId> {
        let gone = |peer: &Peer| peer.heard.is_none_or(|heard| now.duration_since(heard) > MEMORY);
        let departed = self.nodes.iter().filter(|(_, peer)| !peer.connected);
        let (mut forgotten, mut remembered): (Vec<_>, Vec<_>) = departed.partition(|(_, peer)| gone(peer));
        if remembered.len() > MAX_DEPARTED {
            remembered
                .sort_unstable_by_key(|(id, peer)| (!self.chosen.contains_key(*id), std::cmp::Reverse(peer.heard)));
            forgotten.extend(remembered.drain(MAX_DEPARTED..));
        }
        let forgotten: Vec<NodeId> = forgotten.into_iter().map(|(id, _)| id.clone()).collect();
        for node in &forgotten {
            self.remove(node);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests;
