//! What is known of the other nodes. Pure: events and the clock are passed in.

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
    kernel::mode::Mode,
    name::{FunctionName, Host, NodeId},
    p2p::{
        direct::{NodeState, TunnelKey},
        message::RecalcInfo,
    },
    strategy::{PeerFunction, PeerView},
};

/// An original agent broadcasts once a minute and is given up after 1.2 periods (reference section 4).
const BROADCAST_LIFETIME: Duration = Duration::from_secs(75);
/// A peer that is gone stays known so long: connections handed to it may live on.
const MEMORY: Duration = Duration::from_mins(10);

/// One other node.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub connected: bool,
    pub remotes: BTreeSet<IpAddr>,
    /// Speaks our direct protocol.
    pub direct: bool,
    /// Where its proxy takes calls.
    pub proxy: Option<(Host, u16)>,
    /// What an original agent grants us.
    broadcast: Option<(BTreeMap<FunctionName, f64>, Instant)>,
    pub state: Option<(NodeState, Instant)>,
    /// Last sign of life.
    heard: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Up,
    Draining,
    Silent,
    /// Connected, nothing heard yet.
    Known,
}

impl Standing {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Known => "known",
        }
    }

    /// As the kernel's tables have it.
    pub const fn kernel_state(self) -> u32 {
        match self {
            Self::Up => UP,
            Self::Draining | Self::Known => DRAINING,
            Self::Silent => DEAD,
        }
    }
}

/// What the kernel path needs of a peer that can take hand-offs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handoff {
    pub tunnel: Ipv4Addr,
    pub service: SocketAddrV4,
    pub seal: Seal,
}

impl Peer {
    pub fn standing(&self, now: Instant, timeout: Duration) -> Standing {
        if let Some((state, _)) = &self.state {
            // A broadcast is a sign of life too: the last state stands.
            return if self.age(now) > timeout {
                Standing::Silent
            } else if state.draining || state.leaving {
                Standing::Draining
            } else {
                Standing::Up
            };
        }
        match &self.broadcast {
            Some((_, heard)) if now.duration_since(*heard) <= BROADCAST_LIFETIME => Standing::Up,
            Some(_) => Standing::Silent,
            None => Standing::Known,
        }
    }

    /// It has said that its data plane ends with its agent.
    fn leaves(&self) -> bool {
        self.state.as_ref().is_some_and(|(state, _)| state.leaving)
    }

    pub fn age(&self, now: Instant) -> Duration {
        self.heard.map_or(Duration::ZERO, |heard| now.duration_since(heard))
    }

    pub fn handoff(&self) -> Option<Handoff> {
        let (state, _) = self.state.as_ref()?;
        let (IpAddr::V4(tunnel), std::net::SocketAddr::V4(service)) = (state.tunnel?, state.service?) else {
            return None;
        };
        // A peer that has not drawn a key for us yet gets one from us first: epoch 0 keeps the kernel from using it.
        let seal = state.receive_key.as_ref().map(seal).unwrap_or_default();
        (state.mode == Mode::Handoff).then_some(Handoff { tunnel, service, seal })
    }

    /// Addresses its calls may come from.
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
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
        if let Some((state, _)) = &self.state {
            let function = |f: &crate::p2p::direct::FunctionState| PeerFunction {
                limit_out: f.limit,
                excess: f.max_rate.map_or(0.0, |max| (f.rate - max).max(0.0)),
            };
            return PeerView {
                functions: state.functions.iter().map(|(name, f)| (name.clone(), function(f))).collect(),
            };
        }
        let limits = self.broadcast.iter().flat_map(|(limits, _)| limits);
        let function = |limit: &f64| PeerFunction { limit_out: *limit, excess: 0.0 };
        PeerView { functions: limits.map(|(name, limit)| (name.clone(), function(limit))).collect() }
    }
}

/// The kernel's form of a key that a peer drew.
fn seal(key: &TunnelKey) -> Seal {
    let half = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| key.key[at + i]));
    Seal { key: Key(half(0), half(8)), token: key.token, epoch: key.epoch.into(), reserved: 0 }
}

/// The other way round: what we drew, for the peer.
pub fn tunnel_key(seal: &Seal) -> TunnelKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&seal.key.0.to_be_bytes());
    key[8..].copy_from_slice(&seal.key.1.to_be_bytes());
    TunnelKey { epoch: seal.epoch as u16, key, token: seal.token }
}

/// All other nodes.
#[derive(Debug)]
pub struct Peers {
    own: NodeId,
    timeout: Duration,
    nodes: BTreeMap<NodeId, Peer>,
}

impl Peers {
    pub fn new(own: NodeId, timeout: Duration) -> Self {
        Self { own, timeout, nodes: BTreeMap::new() }
    }

    pub fn get(&self, node: &NodeId) -> Option<&Peer> {
        self.nodes.get(node)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.nodes.iter()
    }

    pub fn standing(&self, node: &NodeId, now: Instant) -> Standing {
        self.nodes.get(node).map_or(Standing::Silent, |peer| peer.standing(now, self.timeout))
    }

    pub fn connected(&mut self, node: NodeId, remote: IpAddr) {
        let peer = self.nodes.entry(node).or_default();
        peer.connected = true;
        peer.remotes.insert(remote);
    }

    pub fn disconnected(&mut self, node: &NodeId) {
        if let Some(peer) = self.nodes.get_mut(node) {
            peer.connected = false;
        }
    }

    pub fn identified(&mut self, node: &NodeId, direct: bool) {
        if let Some(peer) = self.nodes.get_mut(node) {
            peer.direct = direct;
        }
    }

    /// A broadcast of the recalc strategy. One that does not name us is ignored, as the original does.
    pub fn broadcast(&mut self, node: NodeId, info: RecalcInfo, now: Instant) {
        let peer = self.nodes.entry(node).or_default();
        peer.proxy = Some((info.proxy.host, info.proxy.port));
        if let Some(limits) = info.limits.into_iter().find(|(id, _)| *id == self.own) {
            peer.broadcast = Some((limits.1, now));
            peer.heard = Some(now);
        }
    }

    pub fn state(&mut self, node: NodeId, mut state: NodeState, now: Instant) {
        let peer = self.nodes.entry(node).or_default();
        peer.direct = true;
        if let Some(proxy) = &state.proxy {
            peer.proxy = Some((proxy.host.clone(), proxy.port));
        }
        // A peer whose agent has started again has not looked its keys up yet: what it gave before holds.
        if state.receive_key.is_none() {
            state.receive_key = peer.state.as_ref().and_then(|(old, _)| old.receive_key);
        }
        peer.state = Some((state, now));
        peer.heard = Some(now);
    }

    /// Peers that can take hand-offs, as far as they speak for themselves: the tunnel ends where the authenticated connection
    /// comes from, and the service address is not where another peer's tunnel ends.
    pub fn handoffs(&self) -> Vec<(NodeId, Handoff)> {
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
    pub fn views(&self, now: Instant, grant_lifetime: Duration) -> BTreeMap<NodeId, PeerView> {
        let view = |peer: &Peer| match peer.standing(now, self.timeout) {
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

    /// Forgets those that have been gone for long; returns them.
    pub fn forget(&mut self, now: Instant) -> Vec<NodeId> {
        let gone = |peer: &Peer| !peer.connected && peer.heard.is_none_or(|heard| now.duration_since(heard) > MEMORY);
        let forgotten: Vec<_> = self.nodes.iter().filter(|(_, peer)| gone(peer)).map(|(id, _)| id.clone()).collect();
        self.nodes.retain(|_, peer| !gone(peer));
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::message::ProxyAddress;
    use crate::strategy::test_names::{function, node};

    fn state(leaving: bool) -> NodeState {
        NodeState {
            version: 1,
            sequence: 1,
            started_ms: 0,
            mode: Mode::Handoff,
            service: Some("10.0.0.2:80".parse().unwrap()),
            tunnel: Some("10.0.0.2".parse().unwrap()),
            proxy: None,
            receive_key: Some(TunnelKey { epoch: 3, key: [7; 16], token: 9 }),
            functions: [(
                function("f"),
                crate::p2p::direct::FunctionState { limit: 5.0, rate: 30.0, max_rate: Some(20.0) },
            )]
            .into(),
            draining: false,
            leaving,
        }
    }

    fn peers() -> (Peers, Instant) {
        (Peers::new(node(0), Duration::from_secs(3)), Instant::now())
    }

    const LIFETIME: Duration = Duration::from_secs(30);

    #[test]
    fn a_silent_or_leaving_peer_is_used_no_more() {
        let (mut peers, now) = peers();
        peers.state(node(1), state(false), now);
        peers.state(node(2), state(true), now);
        assert_eq!(peers.views(now, LIFETIME).keys().collect::<Vec<_>>(), [&node(1)]);
        let later = now + Duration::from_secs(4);
        assert_eq!(peers.views(later, LIFETIME)[&node(1)].functions[&function("f")].limit_out, 0.0);
        assert_eq!(peers.standing(&node(1), later), Standing::Silent);
    }

    #[test]
    fn what_a_silent_or_draining_peer_needs_is_remembered_for_the_life_of_a_grant() {
        let (mut peers, now) = peers();
        peers.state(node(1), state(false), now);
        peers.state(node(2), NodeState { draining: true, ..state(false) }, now);
        for after_s in [4, 30] {
            let views = peers.views(now + Duration::from_secs(after_s), LIFETIME);
            assert_eq!(views.len(), 2);
            assert!(views.values().all(|view| view.functions[&function("f")].excess == 10.0));
        }
        assert!(peers.views(now + Duration::from_secs(31), LIFETIME).is_empty());
    }

    #[test]
    fn what_a_peer_offers_above_its_limit_is_its_excess() {
        let (mut peers, now) = peers();
        peers.state(node(1), state(false), now);
        assert_eq!(
            peers.views(now, LIFETIME)[&node(1)].functions[&function("f")],
            PeerFunction { limit_out: 5.0, excess: 10.0 }
        );
    }

    #[test]
    fn a_broadcast_keeps_a_state_in_force() {
        let (mut peers, now) = peers();
        peers.state(node(1), state(false), now);
        let proxy = ProxyAddress { host: "10.0.0.2".parse().unwrap(), port: 30080 };
        let later = now + Duration::from_secs(3);
        peers.broadcast(node(1), RecalcInfo { proxy, limits: [(node(0), BTreeMap::new())].into() }, later);
        assert_eq!(peers.standing(&node(1), now + Duration::from_secs(5)), Standing::Up);
        assert_eq!(peers.standing(&node(1), now + Duration::from_secs(7)), Standing::Silent);
    }

    #[test]
    fn a_peer_speaks_for_its_own_address_only() {
        let (mut peers, now) = peers();
        peers.state(node(1), state(false), now);
        assert!(peers.handoffs().is_empty(), "not connected from there");
        peers.connected(node(1), "10.0.0.2".parse().unwrap());
        assert_eq!(peers.handoffs().len(), 1);
        let thief = NodeState { tunnel: Some("10.0.0.3".parse().unwrap()), ..state(false) };
        peers.connected(node(2), "10.0.0.3".parse().unwrap());
        peers.state(node(2), thief, now);
        assert_eq!(peers.handoffs().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [node(1)]);
    }

    #[test]
    fn a_key_holds_until_there_is_another() {
        let (mut peers, now) = peers();
        peers.state(node(1), state(false), now);
        peers.state(node(1), NodeState { receive_key: None, ..state(false) }, now);
        assert_eq!(peers.get(&node(1)).unwrap().handoff().unwrap().seal.epoch, 3);
    }

    #[test]
    fn keys_survive_the_way_to_the_kernel_and_back() {
        let key = TunnelKey { epoch: 3, key: std::array::from_fn(|i| i as u8), token: 9 };
        assert_eq!(tunnel_key(&seal(&key)), key);
    }

    #[test]
    fn a_broadcast_that_does_not_name_us_grants_nothing() {
        let (mut peers, now) = peers();
        let proxy = ProxyAddress { host: "10.0.0.5".parse().unwrap(), port: 30080 };
        let limits = [(function("f"), 4.0)].into();
        peers.broadcast(node(1), RecalcInfo { proxy: proxy.clone(), limits: [(node(3), limits)].into() }, now);
        assert_eq!(peers.standing(&node(1), now), Standing::Known);
        let limits = [(function("f"), 4.0)].into();
        peers.broadcast(node(1), RecalcInfo { proxy, limits: [(node(0), limits)].into() }, now);
        assert_eq!(peers.views(now, LIFETIME)[&node(1)].functions[&function("f")].limit_out, 4.0);
        assert_eq!(peers.standing(&node(1), now + Duration::from_secs(76)), Standing::Silent);
    }

    #[test]
    fn a_peer_gone_for_long_is_forgotten() {
        let (mut peers, now) = peers();
        peers.connected(node(1), "10.0.0.2".parse().unwrap());
        peers.state(node(1), state(false), now);
        peers.disconnected(&node(1));
        assert!(peers.forget(now + Duration::from_secs(500)).is_empty());
        assert_eq!(peers.forget(now + Duration::from_secs(601)), [node(1)]);
    }
}
