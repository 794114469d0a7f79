//! What is known of the other nodes. Pure: events and the clock are passed in.

mod heard;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use dfaas_common::{
    peer::{DEAD, DRAINING, Seal, UP},
    siphash::Key,
};

use crate::{
    forecast::NodeType,
    mode::Mode,
    name::{Host, NodeId},
    p2p::{
        direct::{MarginState, NodeState, TunnelKey},
        message::{Message, ProxyAddress},
    },
    strategy::{MarginView, PeerFunction, PeerView, Strategy},
};
use heard::Heard;

/// A peer that is gone stays known so long: connections handed to it may live on.
pub(crate) const MEMORY: Duration = Duration::from_mins(10);
/// Authors of broadcasts need not be connected to us, and names cost nothing.
const MAX_NODES: usize = 4096;

/// One other node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub connected: bool,
    pub remotes: BTreeSet<IpAddr>,
    /// Speaks our direct protocol.
    pub direct: bool,
    /// Where its proxy takes calls.
    pub proxy: Option<(Host, u16)>,
    /// What an original agent last told everybody.
    broadcast: Option<(Heard, Instant)>,
    pub state: Option<(NodeState, Instant)>,
    /// Last sign of life.
    heard: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Up,
    Draining,
    Silent,
    /// Connected, nothing heard yet.
    Known,
}

impl Standing {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Known => "known",
        }
    }

    /// As the kernel's tables have it.
    pub(crate) const fn kernel_state(self) -> u32 {
        match self {
            Self::Up => UP,
            Self::Draining | Self::Known => DRAINING,
            Self::Silent => DEAD,
        }
    }
}

/// What the kernel path needs of a peer that can take hand-offs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Handoff {
    pub tunnel: Ipv4Addr,
    pub service: SocketAddrV4,
    pub seal: Seal,
}

/// What a peer must do to count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Silence after which one of our own kind is given up.
    pub timeout: Duration,
    /// Period of the broadcasts.
    pub period: Duration,
    /// Original agents of another strategy are not understood, as among themselves.
    pub strategy: Strategy,
}

impl Peer {
    fn standing(&self, now: Instant, terms: &Terms) -> Standing {
        if let Some((state, _)) = &self.state {
            // A broadcast is a sign of life too: the last state stands.
            return if self.age(now) > terms.timeout {
                Standing::Silent
            } else if state.draining || state.leaving {
                Standing::Draining
            } else {
                Standing::Up
            };
        }
        match &self.broadcast {
            Some((heard, _)) if heard.strategy() != terms.strategy => Standing::Known,
            Some((heard, when)) if now.duration_since(*when) <= heard.lifetime(terms.period) => Standing::Up,
            Some(_) => Standing::Silent,
            None => Standing::Known,
        }
    }

    /// It has said that its data plane ends with its agent.
    fn leaves(&self) -> bool {
        self.state.as_ref().is_some_and(|(state, _)| state.leaving)
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.heard.map_or(Duration::ZERO, |heard| now.duration_since(heard))
    }

    pub(crate) fn handoff(&self) -> Option<Handoff> {
        let (state, _) = self.state.as_ref()?;
        let (IpAddr::V4(tunnel), std::net::SocketAddr::V4(service)) = (state.tunnel?, state.service?) else {
            return None;
        };
        // A peer that has not drawn a key for us yet gets one from us first: epoch 0 keeps the kernel from using it.
        let seal = state.tunnel_key.as_ref().map(seal).unwrap_or_default();
        (state.mode == Mode::Handoff).then_some(Handoff { tunnel, service, seal })
    }

    /// Addresses its calls may come from.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        let mut addresses = self.remotes.clone();
        if let Some((host, _)) = &self.proxy {
            addresses.extend(host.as_str().parse::<IpAddr>());
        }
        if let Some((state, _)) = &self.state {
            addresses.extend(state.tunnel);
            addresses.extend(state.service.map(|service| service.ip()));
        }
        addresses
    }

    fn view(&self) -> PeerView {
        let Some((state, _)) = &self.state else {
            return self.broadcast.as_ref().map_or_else(PeerView::default, |(heard, _)| heard.view());
        };
        let function = |f: &crate::p2p::direct::FunctionState| PeerFunction {
            limit_out: f.limit,
            excess: f.max_rate.map_or(0.0, |max| (f.rate - max).max(0.0)),
        };
        PeerView {
            functions: state.functions.iter().map(|(name, f)| (name.clone(), function(f))).collect(),
            margin: state.margin.as_ref().and_then(margin_view),
        }
    }
}

fn margin_view(state: &MarginState) -> Option<MarginView> {
    Some(MarginView {
        node_type: NodeType::from_number(state.node_type.into())?,
        thresholds: state.thresholds.into(),
        margin: state.margin,
        load: state.load.into(),
    })
}

/// The kernel's form of a key that a peer drew.
fn seal(key: &TunnelKey) -> Seal {
    let half = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| key.key[at + i]));
    Seal { key: Key(half(0), half(8)), token: key.token, epoch: key.epoch.into(), reserved: 0 }
}

/// The other way round: what we drew, for the peer.
pub(crate) fn tunnel_key(seal: &Seal) -> TunnelKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&seal.key.0.to_be_bytes());
    key[8..].copy_from_slice(&seal.key.1.to_be_bytes());
    TunnelKey { epoch: seal.epoch as u16, key, token: seal.token }
}

/// All other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    own: NodeId,
    terms: Terms,
    nodes: BTreeMap<NodeId, Peer>,
}

impl Peers {
    pub(crate) fn new(own: NodeId, terms: Terms) -> Self {
        Self { own, terms, nodes: BTreeMap::new() }
    }

    /// After the settings have changed.
    pub(crate) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
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
        peer.remotes.insert(remote);
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
                    peer.heard = Some(now);
                }
                return;
            }
            Message::Text(_) | Message::Unknown(_) => return,
        };
        peer.proxy = Some((host, port));
        let former = peer.broadcast.take();
        let margin = former.as_ref().and_then(|(heard, _)| heard.margin());
        let heard = match message {
            Message::Recalc(mut info) => info.limits.remove(&self.own).map(Heard::Recalc),
            Message::NodeMargin(info) => Some(Heard::NodeMargin { info, margin }),
            Message::Static(info) => Some(Heard::Static(info.functions)),
            Message::Margin(_) | Message::Text(_) | Message::Unknown(_) => None,
        };
        peer.heard = if heard.is_some() { Some(now) } else { peer.heard };
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
        peer.heard = Some(now);
    }

    /// Peers that can take hand-offs, as far as they speak for themselves: the tunnel ends where the authenticated connection
    /// comes from, and the service address is not where another peer's tunnel ends.
    pub(crate) fn handoffs(&self) -> Vec<(NodeId, Handoff)> {
        let ends_at_home = |peer: &Peer| {
            let handoff = peer.handoff()?;
            peer.remotes.contains(&IpAddr::V4(handoff.tunnel)).then_some(handoff)
        };
        let offers: Vec<_> = self.nodes.iter().filter_map(|(id, peer)| Some((id, ends_at_home(peer)?))).collect();
        let is_anothers = |id: &NodeId, address: Ipv4Addr| offers.iter().any(|(o, h)| *o != id && h.tunnel == address);
        let own = |(id, h): &&(&NodeId, Handoff)| !is_anothers(id, h.tunnel) && !is_anothers(id, *h.service.ip());
        offers.iter().filter(own).map(|(id, handoff)| ((*id).clone(), *handoff)).collect()
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

    /// It is no longer a member.
    pub(crate) fn remove(&mut self, node: &NodeId) {
        self.nodes.remove(node);
    }

    /// Forgets those that have been gone for long; returns them.
    pub(crate) fn forget(&mut self, now: Instant) -> Vec<NodeId> {
        let gone = |peer: &Peer| !peer.connected && peer.heard.is_none_or(|heard| now.duration_since(heard) > MEMORY);
        let forgotten: Vec<_> = self.nodes.iter().filter(|(_, peer)| gone(peer)).map(|(id, _)| id.clone()).collect();
        self.nodes.retain(|_, peer| !gone(peer));
        forgotten
    }
}

#[cfg(test)]
mod tests;
