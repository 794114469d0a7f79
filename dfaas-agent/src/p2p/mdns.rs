//! Nodes on the local network, found by multicast DNS (RFC 6762). A task with a socket of its own; it fails alone.

mod interfaces;
mod wire;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use rand::{Rng, distr::Uniform};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::{sleep, sleep_until},
};

use self::{
    interfaces::Interfaces,
    wire::{Heard, Service},
};
use super::{bucket::Bucket, handle::View};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// Of a packet, by RFC 6762.
const MAX_PACKET_BYTES: usize = 9000;
/// The first questions follow each other quickly, later ones do not.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Between answers, however many ask.
const ANSWER_PAUSE: Duration = Duration::from_secs(1);
const SIGHTINGS: usize = 64;

/// What a packet tells a node that looks for others.
pub(super) fn addresses_in(packet: &[u8]) -> Vec<Multiaddr> {
    match Service::new(super::DEFAULT_RENDEZVOUS, "fuzz").map(|service| service.hear(packet)) {
        Ok(Heard::Nodes(addresses)) => addresses,
        _ => Vec::new(),
    }
}

/// Nodes that somebody at `source` says there are.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) source: IpAddr,
    pub(super) addresses: Vec<Multiaddr>,
}

struct Task {
    own: PeerId,
    service: Service,
    socket: UdpSocket,
    interfaces: Interfaces,
    view: watch::Receiver<View>,
    sightings: mpsc::Sender<Sighting>,
    answer_at: Option<Instant>,
    answered: Option<Instant>,
    /// Answers to single askers.
    singles: Bucket,
}

/// Starts the task, which ends when the receiver is dropped. `only_loopback`: this node has no other address. `None`
/// if another program holds the port for itself: there are other ways to find nodes.
pub(super) fn start(
    rendezvous: &str,
    own: PeerId,
    only_loopback: bool,
    view: watch::Receiver<View>,
) -> anyhow::Result<Option<mpsc::Receiver<Sighting>>> {
    let letters = Uniform::new(0, 36).context("letters of an instance name")?;
    let letter = |number: u32| char::from_digit(number, 36).unwrap_or('a');
    let instance: String = rand::rng().sample_iter(letters).take(48).map(letter).collect();
    let service = Service::new(rendezvous, &instance)?;
    let interfaces = Interfaces::new(only_loopback);
    let socket = match interfaces::socket(PORT) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "cannot use UDP port {PORT}: no nodes are sought by mDNS");
            return Ok(None);
        }
    };
    let (sightings, receiver) = mpsc::channel(SIGHTINGS);
    let now = Instant::now();
    let singles = Bucket::new(10.0, 20.0, now);
    let task =
        Task { own, service, socket, interfaces, view, sightings, answer_at: Some(now), answered: None, singles };
    tokio::spawn(task.run());
    Ok(Some(receiver))
}

impl Task {
    async fn run(mut self) {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        let mut pause = FIRST_PAUSE;
        let mut ask_at = Instant::now() + jitter();
        loop {
            let answer_at = self.answer_at.unwrap_or(ask_at);
            let event = tokio::select! {
                received = self.socket.recv_from(&mut packet) => Some(received),
                () = sleep_until(ask_at.min(answer_at).into()) => None,
                changed = self.view.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Listens elsewhere, perhaps.
                    self.answer_soon();
                    None
                }
                () = self.sightings.closed() => return,
            };
            match event {
                Some(Ok((length, source))) => self.on_packet(&packet[..length], source).await,
                Some(Err(error)) => {
                    tracing::debug!(%error, "cannot receive mDNS");
                    sleep(FIRST_PAUSE).await;
                }
                None => {}
            }
            let now = Instant::now();
            if ask_at <= now {
                self.ask().await;
                ask_at = now + pause + jitter();
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            if self.answer_at.is_some_and(|at| at <= now) {
                self.answer_all().await;
            }
        }
    }

    async fn on_packet(&mut self, packet: &[u8], source: SocketAddr) {
        match self.service.hear(packet) {
            Heard::Nothing => {}
            Heard::Question(number) if source.port() != PORT => {
                // A simple program that expects its answer at its own port.
                if self.singles.take(Instant::now()) {
                    let answer = self.service.answer(&self.addresses(), Some(number));
                    if let Ok(answer) = answer {
                        let _ = self.socket.send_to(&answer, source).await;
                    }
                }
            }
            Heard::Question(_) => self.answer_soon(),
            Heard::Nodes(addresses) => {
                // More than the overlay takes are repeated before long.
                let _ = self.sightings.try_send(Sighting { source: source.ip(), addresses });
            }
        }
    }

    fn answer_soon(&mut self) {
        let soon = Instant::now() + jitter();
        let at = self.answered.map_or(soon, |answered| soon.max(answered + ANSWER_PAUSE));
        self.answer_at = Some(self.answer_at.map_or(at, |planned| planned.min(at)));
    }

    async fn ask(&mut self) {
        if let Ok(question) = self.service.question() {
            self.interfaces.refresh(&self.socket, GROUP);
            self.send(&question).await;
        }
    }

    async fn answer_all(&mut self) {
        self.answer_at = None;
        let addresses = self.addresses();
        if addresses.is_empty() {
            return;
        }
        self.answered = Some(Instant::now());
        self.interfaces.refresh(&self.socket, GROUP);
        match self.service.answer(&addresses, None) {
            Ok(answer) => self.send(&answer).await,
            Err(error) => tracing::debug!("cannot write an answer: {error:#}"),
        }
    }

    /// Where this node can be reached from its interfaces.
    fn addresses(&self) -> Vec<Multiaddr> {
        let view = self.view.borrow();
        let usable = view.listening.iter().filter(|address| self.interfaces.serves(address));
        usable.map(|address| address.clone().with(Protocol::P2p(self.own))).collect()
    }

    /// Sends to all on every interface.
    async fn send(&self, packet: &[u8]) {
        for interface in self.interfaces.addresses() {
            let sent = match interfaces::send_from(&self.socket, interface) {
                Ok(()) => self.socket.send_to(packet, (GROUP, PORT)).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                tracing::debug!(%interface, %error, "cannot send mDNS");
            }
        }
    }
}

/// So that not all answer at the same time.
fn jitter() -> Duration {
    Duration::from_millis(rand::rng().random_range(20..120))
}
