//! Direct states: sent, received, acknowledged; and the peers named in acknowledgements.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel},
    swarm::ConnectionId,
};
use rand::seq::IteratorRandom;

use super::{
    Overlay,
    peers::{About, Heard},
};
use crate::p2p::{
    address::{MAX_ADDRESSES, dialable},
    counters::Count,
    dial::Source,
    direct::{Ack, KnownPeer, MAX_KNOWN_PEERS, NodeState, Outgoing},
    event::OverlayEvent,
    shown,
};

/// The kind of a direct state in the counts of messages.
const STATE: &str = "state";

/// Peers are named again after this time, even if nobody came: an answer may be lost, and addresses change.
const NAMED_AGAIN: Duration = Duration::from_secs(20);

type Event = request_response::Event<Vec<u8>, Vec<u8>>;

impl Overlay {
    pub(super) fn send_state(&mut self, peer: PeerId, state: Outgoing) {
        if self.peers.contains_key(&peer) {
            self.lanes.offer(peer, state);
            self.send_due();
        }
    }

    pub(super) fn send_due(&mut self) {
        let direct = &mut self.swarm.behaviour_mut().direct;
        self.lanes.send_due(Instant::now(), |peer, bytes| direct.send_request(&peer, bytes));
    }

    pub(super) fn on_direct(&mut self, event: Event) {
        match event {
            Event::Message { peer, connection_id, message } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    self.on_state(peer, connection_id, &request, channel);
                }
                request_response::Message::Response { request_id, response } => {
                    self.on_ack(peer, request_id, &response);
                }
            },
            Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "state not delivered");
                self.counters.add(Count::StateSendFailed);
                match error {
                    OutboundFailure::UnsupportedProtocols => self.lanes.forget(peer),
                    _ => self.lanes.failed(peer, &request_id, Instant::now()),
                }
            }
            Event::InboundFailure { peer, error, .. } => tracing::debug!(%peer, %error, "state not received"),
            Event::ResponseSent { .. } => {}
        }
    }

    /// A state that gets no answer is sent again by the peer.
    fn on_state(&mut self, peer: PeerId, link: ConnectionId, bytes: &[u8], channel: ResponseChannel<Vec<u8>>) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let (node, last) = (entry.node.clone(), entry.last_state);
        // A connection may be gone already: its last word counts as one by the link of the word before.
        let link_made = entry.links.get(&link).map(|link| link.made).or(last.map(|last| last.link_made));
        if !entry.states.take(Instant::now()) {
            self.tally(&node, STATE, Count::StateFlood);
            return;
        }
        if !self.members.borrow().has(&node) {
            self.tally(&node, STATE, Count::StateStranger);
            return;
        }
        let ack = match NodeState::decode(bytes) {
            Err(reason) => {
                tracing::debug!(%peer, %reason, "state refused");
                self.tally(&node, STATE, Count::StateRefused);
                let refused = Some(reason.to_string());
                self.tell(OverlayEvent::StateRefused { peer: node, reason }, Count::StateDropped);
                Ack { refused, ..Ack::default() }
            }
            Ok(state) => {
                let (started_ms, sequence) = (state.started_ms, state.sequence);
                let heard = Heard { started_ms, sequence, link_made: link_made.unwrap_or_else(Instant::now) };
                if last.is_some_and(|last| !heard.is_newer_than(&last)) {
                    self.tally(&node, STATE, Count::StateStale);
                } else if self.tell(OverlayEvent::State { from: node.clone(), state }, Count::StateDropped) {
                    self.tally(&node, STATE, Count::StateReceived);
                    if let Some(entry) = self.peers.get_mut(&peer) {
                        entry.last_state = Some(heard);
                    }
                } else {
                    return;
                }
                Ack { sequence, refused: None, peers: self.news_for(peer) }
            }
        };
        // Fails if the peer no longer waits: nothing to do.
        let _ = self.swarm.behaviour_mut().direct.send_response(channel, ack.encode());
    }

    fn on_ack(&mut self, peer: PeerId, id: OutboundRequestId, bytes: &[u8]) {
        let Some(sequence) = self.lanes.answered(peer, &id) else { return };
        self.send_due();
        let Some(entry) = self.peers.get(&peer) else { return };
        let node = entry.node.clone();
        match Ack::decode(bytes) {
            Some(Ack { refused: Some(reason), .. }) => {
                tracing::warn!(%peer, reason = shown(&reason), "the peer refused our state");
                self.counters.add(Count::StateSendRefused);
            }
            Some(ack) if ack.sequence == sequence => {
                self.counters.add(Count::StateSent);
                self.meet(peer, &ack.peers);
                self.tell(OverlayEvent::StateAcknowledged { peer: node, sequence }, Count::OtherDropped);
            }
            _ => {
                tracing::debug!(%peer, "acknowledgement not understood");
                self.counters.add(Count::StateSendFailed);
            }
        }
    }

    /// Other nodes, if `asker` has not been told of them lately: named in every answer they would be most of the traffic.
    fn news_for(&mut self, asker: PeerId) -> Vec<KnownPeer> {
        let (now, newest) = (Instant::now(), self.peers.values().filter_map(|peer| peer.identified).max());
        let told = self.peers.get(&asker).and_then(|entry| entry.named);
        let is_known = |told: Instant| newest.is_none_or(|newest| newest < told) && now < told + NAMED_AGAIN;
        if told.is_some_and(is_known) {
            return Vec::new();
        }
        let known = self.known_peers(asker);
        if let Some(entry) = self.peers.get_mut(&asker) {
            entry.named = Some(now);
        }
        known
    }

    /// Other nodes `asker` may want to know, by addresses it can use.
    fn known_peers(&self, asker: PeerId) -> Vec<KnownPeer> {
        let Some(remote) = self.remote(asker) else { return vec![] };
        self.peers
            .iter()
            .filter(|(peer, entry)| **peer != asker && entry.about.as_ref().is_some_and(About::is_node))
            .filter_map(|(peer, entry)| {
                let usable = entry.addresses.iter().filter_map(|address| dialable(address, *peer, remote));
                let addresses: Vec<String> = usable.map(|address| address.to_string()).collect();
                (!addresses.is_empty()).then(|| KnownPeer { node: entry.node.clone(), addresses })
            })
            .choose_multiple(&mut rand::rng(), MAX_KNOWN_PEERS)
    }

    /// Plans to dial the nodes another one named.
    fn meet(&mut self, source: PeerId, named: &[KnownPeer]) {
        let Some(remote) = self.remote(source) else { return };
        for KnownPeer { node, addresses } in named {
            let Ok(peer) = node.as_str().parse::<PeerId>() else { continue };
            if self.peers.contains_key(&peer) {
                continue;
            }
            let addresses = addresses
                .iter()
                .take(MAX_ADDRESSES)
                .filter_map(|address| dialable(&address.parse::<Multiaddr>().ok()?, peer, remote))
                .collect();
            if self.dial.learn_hearsay(peer, addresses, Source::Peer(source), Instant::now()) {
                tracing::debug!(%peer, %source, "heard of a node");
            }
        }
    }

    pub(super) fn remote(&self, peer: PeerId) -> Option<IpAddr> {
        self.peers.get(&peer)?.links.values().next().map(|link| link.remote)
    }
}
