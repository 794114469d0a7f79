//! The one task that owns the libp2p node: commands in, events out.

mod broadcasts;
mod links;
mod membership;
mod neighbourhood;
mod peers;
mod providers;
mod settings;
mod states;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub::IdentTopic, ping, request_response::OutboundRequestId, swarm::SwarmEvent,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use self::peers::Peers;
pub use self::settings::OverlaySettings;
use super::{
    address::tcp,
    authors::Authors,
    counters::{Count, Counters},
    dht::{Dht, Schedule},
    dial::DialPlan,
    direct::Lanes,
    event::{Outbox, OverlayEvent},
    faults::Faults,
    federation::Federation,
    handle::{COMMANDS, Command, OverlayHandle, View},
    mdns::{self, Sighting},
    members::{Members, Membership},
    swarm::{self, Behaviour, BehaviourEvent},
    tally::Tally,
};
use crate::{name::NodeId, sparse::Sparse};

/// How often what must be done again is looked at.
const TICK: Duration = Duration::from_millis(250);
/// What states on their way are given at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts the overlay task. Bootstrap peers are dialled from there: one that cannot be reached delays nothing.
pub fn start(settings: OverlaySettings) -> anyhow::Result<(OverlayHandle, mpsc::Receiver<OverlayEvent>)> {
    let bootstrap = settings.bootstrap_peers()?;
    let own = settings.keypair.public().to_peer_id();
    let topic = IdentTopic::new(settings.topic.as_str());
    let welcome = bootstrap.iter().map(|(peer, _)| *peer);
    let named = bootstrap.iter().filter_map(|(peer, _)| peer.to_base58().parse().ok()).collect();
    let only_loopback = settings.only_loopback();
    let rules = settings.rules();
    let rendezvous = settings.dht.then_some(settings.rendezvous.as_str());
    let dht = Dht::new(own, rendezvous, only_loopback);
    let counters = Arc::new(Counters::default());
    let mut swarm = swarm::build(&settings.keypair, &topic, &settings.agent, dht, &rules, &counters, welcome)?;
    listen(&mut swarm, &settings.listen)?;
    let own_id: NodeId = own.to_base58().parse()?;
    let federation = Arc::new(Federation::new(own_id.clone(), settings.secret));
    let membership = Arc::new(Membership::new(settings.members));
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (view, shown) = watch::channel(View::default());
    let sightings =
        if settings.mdns { mdns::start(&settings.rendezvous, own, only_loopback, shown.clone())? } else { None };
    let (outbox, events) = Outbox::new();
    let tally = Arc::new(Tally::default());
    let mut overlay = Overlay {
        swarm,
        commands: receiver,
        outbox,
        view,
        counters: Arc::clone(&counters),
        dial: DialPlan::new(own, bootstrap, Instant::now()),
        looking_up: FuturesUnordered::new(),
        schedule: settings.dht.then(|| Schedule::new(settings.search_pause, Instant::now())),
        sightings,
        alone: false,
        found: 0,
        peers: Peers::default(),
        authors: Authors::new(settings.message_rate, Instant::now()),
        faults: Faults::default(),
        tally: Arc::clone(&tally),
        members: membership.subscribe(),
        federation: Arc::clone(&federation),
        refusals: Sparse::default(),
        lanes: Lanes::new(),
    };
    overlay.obey_members();
    let task = tokio::spawn(overlay.run()).abort_handle();
    let (node_id, bootstrap) = (own_id, Arc::new(named));
    let handle =
        OverlayHandle { node_id, commands, view: shown, counters, tally, membership, federation, bootstrap, task };
    Ok((handle, events))
}

fn listen(swarm: &mut Swarm<Behaviour>, addresses: &[Multiaddr]) -> anyhow::Result<()> {
    // All are looked at before any is taken: `[::]` would find `0.0.0.0` of the same port in use.
    for address in addresses {
        ensure_free(address)?;
    }
    for address in addresses {
        swarm.listen_on(address.clone()).with_context(|| format!("cannot listen on {address}"))?;
    }
    Ok(())
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
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    view: watch::Sender<View>,
    counters: Arc<Counters>,
    dial: DialPlan,
    /// Peers to dial whose names are being looked up; as many as may be dialled at a time.
    looking_up: FuturesUnordered<BoxFuture<'static, (PeerId, Vec<Multiaddr>)>>,
    /// None: no part is taken in the table of records.
    schedule: Option<Schedule>,
    /// From mDNS, if it is on.
    sightings: Option<mpsc::Receiver<Sighting>>,
    /// The advertisement that runs reaches nobody.
    alone: bool,
    /// Providers that the running search has found.
    found: usize,
    peers: Peers,
    authors: Authors,
    faults: Faults,
    tally: Arc<Tally>,
    members: watch::Receiver<Members>,
    federation: Arc<Federation>,
    /// Lines about peers that are refused, or refuse us.
    refusals: Sparse,
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
            Some(sighting) = next(&mut self.sightings) => self.on_sighting(sighting),
            Ok(()) = self.members.changed() => self.obey_members(),
            Some((peer, addresses)) = self.looking_up.next() => self.dial(peer, addresses),
            _ = tick.tick() => {
                self.tell_identified();
                self.part_with_strangers();
                self.renew_mute();
                self.forgive();
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
}

/// Never, without a channel.
async fn next<T>(channel: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match channel {
        Some(channel) => channel.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
