//! One other node: what it has said, and what that makes it to us.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use dfaas_common::{
    peer::{DEAD, DRAINING, Seal, UP},
    siphash::Key,
};

use super::heard::Heard;
use crate::{
    forecast::NodeType,
    mode::Mode,
    name::Host,
    p2p::direct::{MarginState, NodeState, TunnelKey},
    strategy::{MarginView, PeerFunction, PeerView, Strategy},
};

/// One other node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub connected: bool,
    pub remotes: BTreeSet<IpAddr>,
    /// Speaks our direct protocol.
    pub direct: bool,
    /// Two nodes have its key.
    pub is_doubled: bool,
    /// Where its proxy takes calls.
    pub proxy: Option<(Host, u16)>,
    /// What an original agent last told everybody.
    pub(super) broadcast: Option<(Heard, Instant)>,
    pub state: Option<(NodeState, Instant)>,
    /// First and last sign of life.
    pub(super) since: Option<Instant>,
    pub(super) heard: Option<Instant>,
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
    pub(super) fn standing(&self, now: Instant, terms: &Terms) -> Standing {
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

    pub(super) fn speaks(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.heard = Some(now);
    }

    /// At least one function that was worth remembering: one that runs here too.
    pub(super) fn runs_anything(&self) -> bool {
        match (&self.state, &self.broadcast) {
            (Some((state, _)), _) => !state.functions.is_empty(),
            (None, Some((heard, _))) => heard.names_anything(),
            (None, None) => false,
        }
    }

    /// It has said that its data plane ends with its agent.
    pub(super) fn leaves(&self) -> bool {
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

    pub(super) fn view(&self) -> PeerView {
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
pub(super) fn seal(key: &TunnelKey) -> Seal {
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
