//! What this node tells the others: a state to each of our own kind as soon as something changes, the original's
//! broadcast once a period.

mod broadcast;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Agent,
    platform_task::Deployed,
    rhythm::{Periods, wall_clock},
};
use crate::{
    decision::FunctionTable,
    kernel::mode::Mode,
    name::{FunctionName, NodeId},
    p2p::{
        direct::{self, FunctionState, NodeState},
        message::ProxyAddress,
    },
    peers::tunnel_key,
};

/// At most one state per peer in this time.
const STATE_INTERVAL: Duration = Duration::from_millis(100);
/// How long a broadcast waits for HAProxy.
const BROADCAST_PATIENCE: Duration = Duration::from_secs(2);
/// A rate that changed by less than this share is no news.
const NEWS: f64 = 0.05;

/// What has been said.
pub(super) struct Spoken {
    started_ms: u64,
    sequence: u64,
    states: BTreeMap<NodeId, (BTreeMap<FunctionName, FunctionState>, Instant)>,
    periods: Periods,
    /// A broadcast is due since then.
    due: Option<Instant>,
    /// When a state may be sent that came too soon after the last one.
    held_until: Option<Instant>,
}

impl Spoken {
    pub(super) fn new() -> Self {
        let started_ms = wall_clock().as_millis() as u64;
        let (states, periods) = (BTreeMap::new(), Periods::default());
        Self { started_ms, sequence: 0, states, periods, due: None, held_until: None }
    }

    /// Ends when a state that was held back may be sent.
    pub(super) async fn held(&self) {
        match self.held_until {
            Some(time) => tokio::time::sleep_until(time.into()).await,
            None => std::future::pending().await,
        }
    }
}

impl Agent {
    pub(super) fn speak(&mut self, now: Instant) {
        self.send_states(now);
        // Aligned to the wall clock, as the original's.
        if self.spoken.periods.begins(wall_clock(), self.config.strategy.period) {
            self.spoken.due = Some(now);
        }
        // What is promised must be known to HAProxy first.
        let obeyed = self.proxy.view.borrow().obeyed.version == self.decision.version;
        if let Some(due) = self.spoken.due.filter(|due| obeyed || now.duration_since(*due) >= BROADCAST_PATIENCE) {
            tracing::trace!(late = ?now.duration_since(due), "broadcast");
            self.spoken.due = None;
            for message in self.broadcasts() {
                if let Err(e) = self.overlay.publish(&message) {
                    tracing::warn!("cannot broadcast: {e}");
                }
            }
        }
    }

    pub(super) fn say_goodbye(&mut self) {
        for peer in self.direct_peers() {
            // Unless the data plane ends as well, it goes on to forward: what was granted to it must hold.
            let leaving = self.config.detach_on_exit;
            let state = NodeState { leaving, draining: true, ..self.state_for(&peer) };
            if let Err(e) = self.overlay.send_state(&peer, &state) {
                tracing::debug!(%peer, "cannot say good-bye: {e}");
            }
        }
    }

    fn direct_peers(&self) -> Vec<NodeId> {
        let direct = self.overlay.connected().into_iter().filter(|(_, peer)| peer.direct);
        direct.map(|(node, _)| node).collect()
    }

    fn send_states(&mut self, now: Instant) {
        let peers = self.direct_peers();
        self.spoken.states.retain(|node, _| peers.contains(node));
        self.spoken.held_until = None;
        for peer in peers {
            let functions = self.function_states(&peer);
            if let Some((said, when)) = self.spoken.states.get(&peer) {
                let age = now.duration_since(*when);
                let due = age >= self.config.overlay.heartbeat || is_news(said, &functions);
                if due && age < STATE_INTERVAL {
                    let time = *when + STATE_INTERVAL;
                    self.spoken.held_until = Some(self.spoken.held_until.map_or(time, |held| held.min(time)));
                }
                if age < STATE_INTERVAL || !due {
                    continue;
                }
            }
            let state = self.state_for(&peer);
            match self.overlay.send_state(&peer, &state) {
                Ok(()) => {
                    self.spoken.states.insert(peer, (functions, now));
                }
                Err(e) => tracing::debug!(%peer, "cannot send the state: {e}"),
            }
        }
    }

    fn state_for(&mut self, peer: &NodeId) -> NodeState {
        self.spoken.sequence += 1;
        let handoff = self.kernel.mode == Mode::Handoff;
        // A peer may hand off as soon as it has a key: not before HAProxy knows the alias its connections come to.
        let known = self.proxy.view.borrow().obeyed.peers.get(peer).is_some_and(|endpoint| endpoint.alias.is_some());
        let seal = if known { self.kernel.receive_seal(peer) } else { None };
        NodeState {
            version: direct::VERSION,
            sequence: self.spoken.sequence,
            started_ms: self.spoken.started_ms,
            mode: self.kernel.mode,
            service: handoff.then_some(SocketAddr::V4(self.config.node.service)),
            tunnel: handoff.then_some(IpAddr::V4(self.config.kernel.tunnel)),
            proxy: Some(self.own_proxy()),
            tunnel_key: seal.map(|seal| tunnel_key(&seal)),
            functions: self.function_states(peer),
            margin: self.planner.planned.borrow().margin,
            draining: false,
            leaving: false,
        }
    }

    /// Functions deployed here, with what the peer may send: nothing while they cannot be reached.
    fn function_states(&self, peer: &NodeId) -> BTreeMap<FunctionName, FunctionState> {
        let expected = self.is_expected(peer) && !self.proxy.view.borrow().gateway_down;
        let obeyed = Arc::clone(&self.proxy.view.borrow().obeyed);
        let granted = |table: &FunctionTable| table.limits_in.get(peer).copied().unwrap_or(0.0);
        let state = |(name, deployed): (&FunctionName, &Deployed)| {
            // An agent that takes over names its functions before it decides: those it does not name are granted nothing.
            let table = self.decision.functions.get(name);
            // A new grant waits for HAProxy, which would refuse what comes before it knows.
            let obeyed = obeyed.functions.get(name).filter(|_| expected).map_or(0.0, granted);
            let limit = table.map_or(0.0, granted).min(obeyed);
            let rate = self.rates.rate(name).outcomes.offered;
            let max_rate = table.map_or(deployed.max_rate.map(f64::from), |table| table.local_limit);
            (name.clone(), FunctionState { limit, rate, max_rate })
        };
        self.functions.borrow().functions.iter().map(state).collect()
    }

    /// True if HAProxy knows the peer: it refuses calls of nodes that it does not, so they are granted nothing yet.
    fn is_expected(&self, peer: &NodeId) -> bool {
        let wanted = self.decision.peers.get(peer);
        wanted.is_some() && self.proxy.view.borrow().obeyed.peers.get(peer) == wanted
    }

    /// Where other nodes' proxies send calls.
    fn own_proxy(&self) -> ProxyAddress {
        ProxyAddress { host: self.config.node.host.clone(), port: self.config.node.peer_port }
    }
}

fn is_news(said: &BTreeMap<FunctionName, FunctionState>, now: &BTreeMap<FunctionName, FunctionState>) -> bool {
    let differs = |a: f64, b: f64| (a - b).abs() > NEWS * a.max(b).max(1.0);
    said.len() != now.len()
        || now.iter().any(|(name, new)| {
            said.get(name).is_none_or(|old| {
                let excess = |f: &FunctionState| f.max_rate.map_or(0.0, |max| (f.rate - max).max(0.0));
                differs(old.limit, new.limit) || differs(excess(old), excess(new)) || old.max_rate != new.max_rate
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::test_names::function;

    fn states(limit: f64, rate: f64) -> BTreeMap<FunctionName, FunctionState> {
        [(function("f"), FunctionState { limit, rate, max_rate: Some(10.0) })].into()
    }

    #[test]
    fn only_what_a_peer_would_act_upon_is_news() {
        assert!(!is_news(&states(20.0, 3.0), &states(20.0, 9.0)), "below the limit, the rate is nobody's business");
        assert!(!is_news(&states(20.0, 50.0), &states(20.5, 51.0)));
        assert!(is_news(&states(20.0, 3.0), &states(10.0, 3.0)));
        assert!(is_news(&states(20.0, 9.0), &states(20.0, 30.0)));
        assert!(is_news(&BTreeMap::new(), &states(1.0, 1.0)));
    }
}
