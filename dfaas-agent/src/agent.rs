//! The agent: one loop that owns all state, turns what it hears into a decision, and has both data planes obey it.

mod answering;
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
mod steady;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use self::{
    answering::Answering,
    kernel_plane::{KernelPlane, Orders},
    planner::Planner,
    platform_task::PlatformView,
    proxy_task::ProxyTask,
    rhythm::{Rhythm, wall_clock},
    setup::Claim,
    speak::Spoken,
    steady::Steady,
};
use crate::{
    config::Config,
    decision::{Decision, PeerEndpoint},
    metrics::Meters,
    name::{FunctionName, NodeId},
    p2p::{OverlayEvent, OverlayHandle, direct::PROTOCOL},
    peers::{Peer, Peers},
    platform::Platform,
    proxy::FunctionSample,
    rates::{Rates, Sample},
    sparse::Sparse,
    status::Status,
    strategy::{Inputs, LocalFunction, Snapshot},
    supervisor,
};

/// How often counters are read and the decision is looked at again.
const TICK: Duration = Duration::from_millis(250);

/// Everything a running agent owns.
pub(crate) struct Agent {
    /// Nobody else has this node's run directory.
    _claim: Claim,
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
    rhythm: Rhythm,
    steady: Steady,
    answering: Answering,
    planner: Planner,
    decision: Arc<Decision>,
    /// When it was made.
    decided: Instant,
    spoken: Spoken,
    /// Peers that come and go, in the log.
    comings: Sparse,
    status: watch::Sender<Arc<Status>>,
    meters: Arc<Meters>,
}

/// What the agent is told from outside.
#[derive(Debug)]
pub(crate) enum Order {
    Stop,
    /// New settings; only those that a running agent can take over differ.
    Reload(Box<Config>),
}

/// Runs until it is told to stop.
pub(crate) async fn run(config: Config, mut orders: mpsc::Receiver<Order>) -> Result<()> {
    let (mut agent, server) = Box::pin(setup::start(config)).await?;
    supervisor::ready();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Reload(config)) => agent.reload(*config),
                Some(Order::Stop) | None => break,
            },
            event = agent.events.recv() => match event {
                Some(event) => agent.hear(event),
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
            () = agent.kernel.ways_changed() => {}
            _ = tick.tick() => {
                agent.heed_firewall()?;
                agent.tick();
            }
        }
        agent.step();
    }
    supervisor::stopping();
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
            self.kernel.readmit(node);
        }
        for node in change.removed {
            tracing::info!(%node, "no member any more");
            self.peers.remove(&node);
            if let Err(e) = self.kernel.revoke(&node, Instant::now()) {
                tracing::error!(%node, "cannot revoke the peer in the kernel: {e:#}");
            }
        }
    }

    /// Takes note of what happened on the overlay.
    fn hear(&mut self, event: OverlayEvent) {
        let now = Instant::now();
        // It may have been said before the peer was struck off the list.
        if event.speaker().is_some_and(|peer| !self.overlay.is_member(peer)) {
            return;
        }
        match event {
            OverlayEvent::Connected { peer, remote } => {
                if let Some(left_out) = self.comings.take(now) {
                    tracing::info!(%peer, %remote, left_out, "peer connected");
                }
                self.peers.connected(peer, remote);
            }
            OverlayEvent::Disconnected { peer } => {
                if let Some(left_out) = self.comings.take(now) {
                    tracing::info!(%peer, left_out, "peer disconnected");
                }
                self.peers.disconnected(&peer);
            }
            OverlayEvent::Identified { peer, protocols, .. } => {
                self.peers.identified(&peer, protocols.iter().any(|p| p == PROTOCOL));
            }
            OverlayEvent::Broadcast { from, mut message } => {
                message.retain_functions(|name| self.is_of_interest(name));
                self.peers.broadcast(from, message, now);
            }
            OverlayEvent::State { from, mut state } => {
                state.functions.retain(|name, _| self.is_of_interest(name));
                self.peers.state(from, state, now);
                self.choose(now);
            }
            OverlayEvent::BadMessage { from, reason } => tracing::debug!(%from, %reason, "bad message"),
            OverlayEvent::StateRefused { peer, reason } => tracing::debug!(%peer, %reason, "state refused"),
            OverlayEvent::Listening(_) | OverlayEvent::StateAcknowledged { .. } => {}
        }
    }

    /// What does not run here is nobody's business here. Until this node knows what does, everything may.
    fn is_of_interest(&self, name: &FunctionName) -> bool {
        let functions = self.functions.borrow();
        !functions.known || functions.functions.contains_key(name)
    }

    /// Chooses the peers to be used, and gives those that can take hand-offs their numbers.
    fn choose(&mut self, now: Instant) {
        let functions_known = self.functions.borrow().known;
        self.peers.choose(now, functions_known, |node| self.overlay.vouches_for(node));
        self.kernel.admit(&self.peers);
    }

    /// What is done all the time, whether anything happens or not.
    fn tick(&mut self) {
        let now = Instant::now();
        self.measure(now);
        self.tell_events();
        for (node, connected) in self.overlay.connected() {
            self.peers.reached(&node, &connected.remotes, connected.is_doubled);
        }
        let forgotten = self.peers.forget(now);
        if let Err(e) = self.kernel.forget(&forgotten) {
            tracing::warn!("cannot forget peers: {e:#}");
        }
        self.status.send_replace(Arc::new(self.report(now)));
    }

    /// Leaves the mode in which the host's firewall loses calls, unless it was asked for by name.
    fn heed_firewall(&mut self) -> Result<()> {
        if self.config.kernel.mode.is_none()
            && let Some(why) = self.kernel.lost_to_firewall()
        {
            self.kernel.fall_back(&self.config, &why)?;
            self.tell_mode();
        }
        Ok(())
    }

    /// Reads the counters.
    fn measure(&mut self, now: Instant) {
        let samples = self.samples();
        self.rates.record(now, samples);
        self.answering.learn(now, self.proxy.view.borrow().sample.functions.iter());
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

    /// Decides, and has everybody know: the data planes and the peers.
    fn step(&mut self) {
        let now = Instant::now();
        self.decide(now);
        self.feed_kernel(now);
        self.meters.iterated(now.elapsed());
        self.speak(now);
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let deployed = &self.functions.borrow().functions;
        let local = deployed.iter().map(|(name, f)| {
            let rate = self.rates.rate(name).outcomes.offered;
            (name.clone(), LocalFunction { max_rate: f.max_rate.map(f64::from), rate, timeout: f.timeout })
        });
        let mut peers = self.peers.chosen_views(now, self.config.strategy.grant_lifetime);
        // What does not run here is nobody's business here.
        for view in peers.values_mut() {
            view.functions.retain(|name, _| deployed.contains_key(name));
        }
        for (node, view) in &mut peers {
            for (name, function) in &mut view.functions {
                function.limit_out *= self.answering.share(name, node);
            }
        }
        Snapshot { functions: local.collect(), peers }
    }

    fn decide(&mut self, now: Instant) {
        self.choose(now);
        let mut snapshot = self.snapshot(now);
        self.rhythm.step(wall_clock(), &self.config.strategy, &snapshot);
        match self.config.strategy.strategy.planned() {
            Some(strategy) => self.planner.observe(self.observed(now, strategy, &snapshot)),
            None => self.planner.rest(),
        }
        let planned = self.planner.planned.borrow().clone();
        self.steady.settle(&mut snapshot, self.config.strategy.rate_window);
        let inputs = Inputs { snapshot: &snapshot, plan: &planned.plan, compat: self.rhythm.compat() };
        let mut functions = self.config.strategy.strategy.decide(inputs);
        for (name, table) in &mut functions {
            let share = self.answering.own_share(name);
            table.limits_in.values_mut().for_each(|limit| *limit *= share);
        }
        let peers = self.endpoints();
        if functions == self.decision.functions && peers == self.decision.peers {
            return;
        }
        let decision = Decision { version: self.decision.version + 1, functions, peers };
        self.decision = Arc::new(decision);
        self.decided = Instant::now();
        self.proxy.apply(self.decision.clone());
    }

    /// Peers as HAProxy needs them. A silent one stays known for a while: connections it handed to us live on.
    fn endpoints(&self) -> BTreeMap<NodeId, PeerEndpoint> {
        let endpoint = |(node, peer, proxy): (&NodeId, &Peer, SocketAddr)| {
            let host = peer.proxy.as_ref()?.0.clone();
            let (addresses, alias) = (peer.remotes.iter().copied().collect(), self.kernel.alias(node));
            Some((node.clone(), PeerEndpoint { host, proxy, addresses, alias }))
        };
        self.peers.chosen().filter_map(endpoint).collect()
    }

    fn feed_kernel(&mut self, now: Instant) {
        let names = self.decision.functions.keys();
        let kept = names.map(|name| (name.clone(), self.rates.rate(name).kept)).collect();
        let orders = Orders { decision: &self.decision, decided: self.decided, kept: &kept, peers: &self.peers };
        if let Some(delay) = self.kernel.obey(orders, now) {
            self.meters.kernel_obeyed(delay);
        }
    }

    /// Says good-bye. The kernel path and HAProxy stay, unless they are to go.
    async fn leave(mut self) -> Result<()> {
        self.say_goodbye();
        self.overlay.shutdown().await;
        let detach = self.config.detach_on_exit;
        if detach && let Err(e) = self.kernel.drain() {
            tracing::warn!("cannot have the kernel send peers' connections back: {e:#}");
        }
        // HAProxy first: what it still serves for peers comes through the tunnel.
        self.proxy.end(detach).await;
        if detach {
            self.kernel.detach().await?;
            self.kernel.remove_exemption(&self.config)?;
        }
        self.platform.stop().await;
        Ok(())
    }
}
