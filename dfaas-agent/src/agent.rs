//! The agent: one loop that owns all state, turns what it hears into a decision, and has both data planes obey it.

mod counted;
mod kernel_plane;
mod observe;
mod planner;
mod platform_task;
mod proxy_task;
mod report;
mod rhythm;
mod setup;
mod speak;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use self::{
    kernel_plane::KernelPlane,
    planner::Planner,
    platform_task::PlatformView,
    proxy_task::ProxyTask,
    rhythm::{Rhythm, wall_clock},
    speak::Spoken,
};
use crate::{
    config::Config,
    decision::{Decision, PeerEndpoint},
    metrics,
    name::{FunctionName, NodeId},
    p2p::{OverlayEvent, OverlayHandle, direct::PROTOCOL},
    peers::{MEMORY, Peers, Standing},
    platform::Platform,
    proxy::FunctionSample,
    rates::{Rates, Sample},
    status::Status,
    strategy::{Inputs, LocalFunction, Snapshot},
};

/// How often counters are read and the decision is looked at again.
const TICK: Duration = Duration::from_millis(250);
/// How often the slow chores run.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// Everything a running agent owns.
pub struct Agent {
    config: Config,
    node: NodeId,
    started: Instant,
    overlay: OverlayHandle,
    events: mpsc::Receiver<OverlayEvent>,
    platform: Arc<dyn Platform>,
    functions: watch::Receiver<PlatformView>,
    kernel: KernelPlane,
    proxy: ProxyTask,
    peers: Peers,
    rates: Rates,
    /// Former members, whose numbers in the kernel's tables are not free yet.
    revoked: BTreeMap<NodeId, Instant>,
    rhythm: Rhythm,
    planner: Planner,
    decision: Arc<Decision>,
    /// When it was made.
    decided: Instant,
    /// Version of the decision that the kernel obeys, and how long it took to get there.
    kernel_version: u32,
    decision_to_kernel: Duration,
    spoken: Spoken,
    status: watch::Sender<Arc<Status>>,
    iterations: Arc<metrics::Iterations>,
    /// A former agent's tables stay as they are until its peers are back, or this time is over.
    hold_until: Option<Instant>,
    kernel_error: Option<String>,
    next_housekeeping: Instant,
}

/// What the agent is told from outside.
#[derive(Debug)]
pub enum Order {
    Stop,
    /// New settings; only those that a running agent can take over differ.
    Reload(Box<Config>),
}

/// Runs until it is told to stop.
pub async fn run(config: Config, mut orders: mpsc::Receiver<Order>) -> Result<()> {
    let (mut agent, server) = setup::start(config).await?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Reload(config)) => agent.reload(*config),
                Some(Order::Stop) | None => break,
            },
            event = agent.events.recv() => match event {
                Some(event) => agent.hear(event).await,
                None => anyhow::bail!("the overlay has ended"),
            },
            changed = agent.functions.changed() => {
                if changed.is_err() {
                    anyhow::bail!("the platform task has ended");
                }
            }
            changed = agent.planner.planned.changed() => {
                if changed.is_err() {
                    anyhow::bail!("the planner has ended");
                }
            }
            () = agent.proxy.obeys.notified() => {}
            () = agent.spoken.held() => {}
            _ = tick.tick() => {
                agent.measure();
                agent.tell_events();
            }
        }
        agent.step().await;
    }
    server.abort();
    agent.leave().await
}

impl Agent {
    /// Obeys new settings from the next decision on.
    fn reload(&mut self, config: Config) {
        if config.strategy.strategy != self.config.strategy.strategy {
            tracing::info!(from = %self.config.strategy.strategy, to = %config.strategy.strategy, "strategy switched");
        }
        self.peers.set_terms(config.terms());
        self.rates.set_window(config.strategy.rate_window);
        self.config = config;
        self.reload_members();
    }

    /// Nodes that may take part no more are out of all tables with the next decision, which follows at once.
    fn reload_members(&mut self) {
        let change = match self.overlay.reload_members() {
            Ok(change) => change,
            Err(e) => return tracing::error!("the list of members stays as it is: {e:#}"),
        };
        for node in &change.added {
            tracing::info!(%node, "new member");
            self.revoked.remove(node);
        }
        for node in change.removed {
            tracing::info!(%node, "no member any more");
            self.peers.remove(&node);
            if let Some(active) = self.kernel.active.as_mut()
                && let Err(e) = active.revoke(&node)
            {
                tracing::error!(%node, "cannot revoke the peer in the kernel: {e:#}");
            }
            self.revoked.insert(node, Instant::now());
        }
    }

    /// Takes note of what happened on the overlay.
    async fn hear(&mut self, event: OverlayEvent) {
        let now = Instant::now();
        // It may have been said before the peer was struck off the list.
        if event.speaker().is_some_and(|peer| !self.overlay.is_member(peer)) {
            return;
        }
        match event {
            OverlayEvent::Connected { peer, remote } => {
                tracing::info!(%peer, %remote, "peer connected");
                self.peers.connected(peer, remote);
            }
            OverlayEvent::Disconnected { peer } => {
                tracing::info!(%peer, "peer disconnected");
                self.peers.disconnected(&peer);
            }
            OverlayEvent::Identified { peer, protocols, .. } => {
                self.peers.identified(&peer, protocols.iter().any(|p| p == PROTOCOL));
            }
            OverlayEvent::Broadcast { from, message } => self.peers.broadcast(from, message, now),
            OverlayEvent::State { from, state } => {
                if state.leaving {
                    tracing::info!(peer = %from, "peer leaves");
                }
                self.peers.state(from.clone(), state, now);
                self.admit(&from).await;
            }
            OverlayEvent::BadMessage { from, reason } => tracing::debug!(%from, %reason, "bad message"),
            OverlayEvent::StateRefused { peer, reason } => tracing::debug!(%peer, %reason, "state refused"),
            OverlayEvent::Listening(_) | OverlayEvent::StateAcknowledged { .. } => {}
        }
    }

    /// Gives a peer that can take hand-offs its number and alias.
    async fn admit(&mut self, node: &NodeId) {
        let Some(active) = self.kernel.handoff_mut() else { return };
        if active.sync.peer_number(node).is_some() {
            return;
        }
        let Some((_, handoff)) = self.peers.handoffs().into_iter().find(|(id, _)| id == node) else { return };
        match active.admit(node, handoff.tunnel).await {
            Ok(Some(alias)) => tracing::info!(peer = %node, tunnel = %handoff.tunnel, %alias, "peer takes hand-offs"),
            Ok(None) => tracing::warn!(peer = %node, "no number left for this peer: HAProxy forwards to it"),
            Err(e) => tracing::warn!(peer = %node, "cannot admit the peer: {e:#}"),
        }
    }

    /// Reads the counters.
    fn measure(&mut self) {
        let samples = self.samples();
        self.rates.record(Instant::now(), samples);
    }

    fn samples(&self) -> BTreeMap<FunctionName, Sample> {
        self.decision.functions.keys().map(|name| (name.clone(), self.sample(name))).collect()
    }

    /// What both data planes have counted of a function.
    fn sample(&self, name: &FunctionName) -> Sample {
        let view = self.proxy.view.borrow();
        let nothing = FunctionSample::default();
        let proxy = view.sample.functions.get(name).unwrap_or(&nothing);
        counted::sample(&self.kernel.function_counters(name), proxy)
    }

    /// Decides, and has everybody know: the data planes, the peers, those who ask for the status.
    async fn step(&mut self) {
        let now = Instant::now();
        let started = Instant::now();
        self.decide(now);
        self.feed_kernel(now).await;
        self.iterations.done(started.elapsed());
        self.speak(now);
        self.status.send_replace(Arc::new(self.report(now)));
    }

    /// A new agent knows no peer yet. Writing tables without them would refuse calls that the old tables forward.
    fn still_holding(&mut self, now: Instant) -> bool {
        let Some(until) = self.hold_until else { return false };
        let waiting = self.kernel.handoff().is_some_and(|active| active.sync.inherited_peers() > 0);
        if waiting && now < until {
            return true;
        }
        self.hold_until = None;
        if let Some(active) = self.kernel.handoff_mut() {
            match active.sync.forget_inherited() {
                Ok(0) => {}
                Ok(n) => tracing::info!("{n} peers of the former agent have not come back"),
                Err(e) => tracing::warn!("cannot forget peers: {e:#}"),
            }
        }
        false
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let functions = self.functions.borrow().functions.clone();
        let local = functions.into_iter().map(|(name, f)| {
            let rate = self.rates.rate(&name).outcomes.offered;
            (name, LocalFunction { max_rate: f.max_rate.map(f64::from), rate, timeout: f.timeout })
        });
        Snapshot { functions: local.collect(), peers: self.peers.views(now, self.config.strategy.grant_lifetime) }
    }

    fn decide(&mut self, now: Instant) {
        let snapshot = self.snapshot(now);
        self.rhythm.step(wall_clock(), &self.config.strategy, &snapshot);
        if self.config.strategy.strategy.is_planned() {
            self.planner.observe(self.observed(now, &snapshot));
        } else {
            self.planner.rest();
        }
        let planned = self.planner.planned.borrow().clone();
        let inputs = Inputs { snapshot: &snapshot, plan: &planned.plan, compat: self.rhythm.compat() };
        let functions = self.config.strategy.strategy.decide(inputs);
        let peers = self.endpoints(now);
        if functions == self.decision.functions && peers == self.decision.peers {
            return;
        }
        let decision = Decision { version: self.decision.version + 1, functions, peers };
        self.decision = Arc::new(decision);
        self.decided = Instant::now();
        self.proxy.apply(self.decision.clone());
    }

    /// Peers as HAProxy needs them. A silent one stays known: connections it handed to us live on.
    fn endpoints(&self, now: Instant) -> BTreeMap<NodeId, PeerEndpoint> {
        let mut endpoints = BTreeMap::new();
        for (node, peer) in self.peers.iter() {
            if self.peers.standing(node, now) == Standing::Known {
                continue;
            }
            let Some((proxy_host, proxy_port)) = peer.proxy.clone() else { continue };
            let alias = self
                .kernel
                .handoff()
                .and_then(|active| active.sync.peer_number(node).map(|number| active.sync.alias(number).into()));
            let addresses = peer.addresses().into_iter().collect();
            endpoints.insert(node.clone(), PeerEndpoint { proxy_host, proxy_port, addresses, alias });
        }
        endpoints
    }

    async fn feed_kernel(&mut self, now: Instant) {
        if let Err(e) = self.try_feed_kernel(now).await {
            let error = format!("{e:#}");
            if self.kernel_error.as_ref() != Some(&error) {
                tracing::error!("kernel tables: {error}");
                self.kernel_error = Some(error);
            }
        } else {
            self.kernel_error = None;
        }
    }

    async fn try_feed_kernel(&mut self, now: Instant) -> Result<()> {
        let kept = self.decision.functions.keys().map(|name| (name.clone(), self.rates.rate(name).kept)).collect();
        let Some(active) = self.kernel.active.as_mut() else { return Ok(()) };
        active.write_peers(&self.peers, now).await?;
        let written = active.write_routes(&self.decision, &kept)?;
        if self.kernel_version != self.decision.version {
            self.kernel_version = self.decision.version;
            self.decision_to_kernel = self.decided.elapsed();
            tracing::debug!(version = self.decision.version, written, "kernel obeys");
        }
        active.compare(now)?;
        if now >= self.next_housekeeping {
            self.next_housekeeping = now + HOUSEKEEPING;
            active.housekeeping(&self.peers, now)?;
            let forgotten = |since: &Instant| now.duration_since(*since) > MEMORY;
            let revoked = self.revoked.extract_if(.., |_, since| forgotten(since)).map(|(node, _)| node);
            for node in revoked.collect::<Vec<_>>().into_iter().chain(self.peers.forget(now)) {
                active.sync.remove_peer(&node)?;
            }
        }
        Ok(())
    }

    /// Says good-bye. The kernel path and HAProxy stay, unless they are to go.
    async fn leave(mut self) -> Result<()> {
        self.say_goodbye();
        self.overlay.shutdown().await;
        let detach = self.config.detach_on_exit;
        // HAProxy first: what it still serves for peers comes through the tunnel; new connections find no listener and
        // go back.
        self.proxy.end(detach).await;
        if detach && let Some(active) = &mut self.kernel.active {
            active.detach().await?;
            tracing::info!("kernel path detached");
        }
        self.platform.stop().await;
        Ok(())
    }
}
