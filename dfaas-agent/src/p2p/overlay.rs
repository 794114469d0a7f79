//! The one task that owns the libp2p node: commands in, events out.

mod broadcasts;
mod links;
mod peers;
mod providers;
mod states;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    gossipsub::IdentTopic,
    identity::Keypair,
    ping,
    request_response::OutboundRequestId,
    swarm::{
        SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use self::peers::Peers;
use super::{
    address::{ip, split_peer, tcp},
    counters::{Count, Counters},
    dht::{DEFAULT_RENDEZVOUS, Dht, Schedule},
    dial::DialPlan,
    direct::Lanes,
    event::{Outbox, OverlayEvent},
    gossip::DEFAULT_TOPIC,
    handle::{COMMANDS, Command, OverlayHandle, View},
    names::{self, SystemNames},
    swarm::{self, Behaviour, BehaviourEvent},
};

/// How often what must be done again is looked at.
const TICK: Duration = Duration::from_millis(250);
/// What states on their way are given at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the overlay is set up.
#[derive(Clone, Debug)]
pub struct OverlaySettings {
    pub keypair: Keypair,
    pub listen: Vec<Multiaddr>,
    /// Peers to find the others by; each ends in `/p2p/<id>`.
    pub bootstrap: Vec<Multiaddr>,
    pub topic: String,
    /// Whether to take part in the table of provider records.
    pub dht: bool,
    /// Text that all nodes of a federation are found by.
    pub rendezvous: String,
    /// Between two searches for nodes.
    pub search_pause: Duration,
    /// Name and version this node gives itself.
    pub agent: String,
}

impl OverlaySettings {
    /// The original's topic and rendezvous; no listen address, no bootstrap peer.
    pub fn new(keypair: Keypair) -> Self {
        Self {
            keypair,
            listen: vec![],
            bootstrap: vec![],
            topic: DEFAULT_TOPIC.into(),
            dht: true,
            rendezvous: DEFAULT_RENDEZVOUS.into(),
            search_pause: Duration::from_mins(1),
            agent: concat!("dfaas-agent/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// Starts the overlay task. Bootstrap peers are dialled from there: one that cannot be reached delays nothing.
pub fn start(settings: OverlaySettings) -> anyhow::Result<(OverlayHandle, mpsc::Receiver<OverlayEvent>)> {
    let bootstrap = settings
        .bootstrap
        .iter()
        .map(|address| {
            split_peer(address).with_context(|| format!("bootstrap address {address}, expected /p2p/<id> at its end"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let own = settings.keypair.public().to_peer_id();
    let topic = IdentTopic::new(settings.topic);
    let welcome = bootstrap.iter().map(|(peer, _)| *peer);
    let only_loopback = settings.listen.iter().all(|address| ip(address).is_some_and(|ip| ip.is_loopback()));
    let rendezvous = settings.dht.then_some(settings.rendezvous.as_str());
    let dht = Dht::new(own, rendezvous, only_loopback && !settings.listen.is_empty());
    let mut swarm = swarm::build(&settings.keypair, &topic, &settings.agent, dht, welcome)?;
    // All are looked at before any is taken: `[::]` would find `0.0.0.0` of the same port in use.
    for address in &settings.listen {
        ensure_free(address)?;
    }
    for address in settings.listen {
        swarm.listen_on(address.clone()).with_context(|| format!("cannot listen on {address}"))?;
    }
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (view, shown) = watch::channel(View::default());
    let counters = Arc::new(Counters::default());
    let (outbox, events) = Outbox::new();
    let overlay = Overlay {
        swarm,
        topic,
        commands: receiver,
        outbox,
        view,
        counters: Arc::clone(&counters),
        dial: DialPlan::new(own, bootstrap, Instant::now()),
        looking_up: FuturesUnordered::new(),
        schedule: settings.dht.then(|| Schedule::new(settings.search_pause, Instant::now())),
        alone: false,
        found: 0,
        peers: Peers::default(),
        lanes: Lanes::new(),
    };
    let task = tokio::spawn(overlay.run()).abort_handle();
    let node_id = own.to_base58().parse()?;
    Ok((OverlayHandle { node_id, commands, view: shown, counters, task }, events))
}

/// The library listens with `SO_REUSEPORT`, so a second agent would silently share the first one's port.
fn ensure_free(address: &Multiaddr) -> anyhow::Result<()> {
    if let Some((ip, port)) = tcp(address) {
        std::net::TcpListener::bind((ip, port)).with_context(|| format!("cannot listen on {address}"))?;
    }
    Ok(())
}

struct Overlay {
    swarm: Swarm<Behaviour>,
    topic: IdentTopic,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    view: watch::Sender<View>,
    counters: Arc<Counters>,
    dial: DialPlan,
    /// Peers to dial whose names are being looked up; as many as may be dialled at a time.
    looking_up: FuturesUnordered<BoxFuture<'static, (PeerId, Vec<Multiaddr>)>>,
    /// None: no part is taken in the table of records.
    schedule: Option<Schedule>,
    /// The advertisement that runs reaches nobody.
    alone: bool,
    /// Providers that the running search has found.
    found: usize,
    peers: Peers,
    lanes: Lanes<PeerId, OutboundRequestId>,
}

impl Overlay {
    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.step(&mut tick).await {}
        let end = Instant::now() + LAST_WORDS;
        self.commands.close();
        while !self.lanes.is_idle() && Instant::now() < end && self.step(&mut tick).await {}
    }

    /// Handles one thing that happens; false: time to end.
    async fn step(&mut self, tick: &mut Interval) -> bool {
        tokio::select! {
            event = self.swarm.select_next_some() => self.on_swarm(event),
            command = self.commands.recv(), if !self.commands.is_closed() => match command {
                Some(Command::Publish(text)) => self.publish(text),
                Some(Command::SendState(peer, state)) => self.send_state(peer, state),
                Some(Command::Shutdown) | None => return false,
            },
            () = self.outbox.flush(), if self.outbox.has_late() => {}
            Some((peer, addresses)) = self.looking_up.next() => self.dial(peer, addresses),
            _ = tick.tick() => {
                self.tell_identified();
                self.dial_due();
                self.do_chores();
                self.send_due();
            }
        }
        !self.outbox.is_closed()
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Direct(event)) => self.on_direct(event),
            SwarmEvent::Behaviour(BehaviourEvent::Dht(event)) => self.on_dht(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, connection, result })) => {
                if let Err(error @ (ping::Failure::Timeout | ping::Failure::Other { .. })) = result {
                    tracing::info!(%peer, %error, "connection given up");
                    self.counters.add(Count::PingFailed);
                    self.swarm.close_connection(connection);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.view.send_modify(|view| view.listening.push(address.clone()));
                self.tell(OverlayEvent::Listening(address), Count::OtherDropped);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.view.send_modify(|view| view.listening.retain(|listening| *listening != address));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener failed"),
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, %error, "no longer listening");
            }
            other => self.on_link(other),
        }
    }

    /// Passes an event on that may be dropped.
    fn tell(&mut self, event: OverlayEvent, dropped: Count) -> bool {
        let told = self.outbox.offer(event);
        if !told {
            self.counters.add(dropped);
        }
        told
    }

    fn dial_due(&mut self) {
        for (peer, addresses) in self.dial.due(Instant::now()) {
            if addresses.iter().any(names::is_named) {
                let found = async move { (peer, names::resolve(peer, addresses, &SystemNames).await) };
                self.looking_up.push(found.boxed());
            } else {
                self.dial(peer, addresses);
            }
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        // A port of its own for each dial: two nodes that dial each other from their listen ports at the
        // same time would meet in one TCP connection, both as its client.
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(peer, &error);
        }
    }
}

#[cfg(test)]
mod tests;
