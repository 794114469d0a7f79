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
use crate::{
    name::NodeId,
    p2p::{
        address::{MAX_ADDRESSES, dialable},
        counters::Count,
        dial::Source,
        direct::{Ack, KnownPeer, MAX_KNOWN_PEERS, NodeState, Outgoing},
        event::OverlayEvent,
        shown,
    },
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
        self.federation.verify(bytes, &node);
        if !self.may_speak(&node) {
            return self.refuse_stranger(&node, channel);
        }
        self.befriend(&node, peer);
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
                if let Some(last) = last.filter(|last| !heard.is_newer_than(last)) {
                    self.stale(peer, &heard, &last);
                } else if self.tell(OverlayEvent::State { from: node.clone(), state }, Count::StateDropped) {
                    self.tally(&node, STATE, Count::StateReceived);
                    if let Some(entry) = self.peers.get_mut(&peer) {
                        entry.last_state = Some(heard);
                        if entry.forgets_other_run(Instant::now()) {
                            self.show(peer);
                        }
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

    /// Where somebody who is vouched for is met now he is greeted first.
    fn befriend(&mut self, node: &NodeId, peer: PeerId) {
        let is_vouched_for = self.federation.has_proven(node) || self.members.borrow().names(node);
        if let Some(remote) = self.remote(peer).filter(|_| is_vouched_for || self.dial.is_bootstrap(&peer)) {
            self.swarm.behaviour_mut().hosts.befriend(remote);
        }
    }

    /// A dead run of a peer falls silent: one that goes on beside another is a second node with the same key.
    fn stale(&mut self, peer: PeerId, heard: &Heard, last: &Heard) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let was_found = entry.is_doubled();
        if heard.started_ms != last.started_ms {
            entry.hears_other_run(Instant::now());
        }
        let (node, is_found, remotes) = (entry.node.clone(), entry.is_doubled(), entry.view().remotes);
        self.tally(&node, STATE, Count::StateStale);
        if is_found {
            self.counters.add(Count::StateAnotherRun);
        }
        if is_found && !was_found {
            tracing::warn!(peer = %node, ?remotes, "two nodes have the key of this peer: only the later one is heard");
            self.show(peer);
        }
    }

    /// Of a peer that is not listed, or does not show that it knows the secret.
    fn refuse_stranger(&mut self, node: &NodeId, channel: ResponseChannel<Vec<u8>>) {
        if !self.federation.has_secret() {
            return self.tally(node, STATE, Count::StateStranger);
        }
        self.tally(node, STATE, Count::StateUnproven);
        if let Some(left_out) = self.refusals.take(Instant::now()) {
            tracing::warn!(peer = %node, left_out, "a peer does not show that it knows the federation's secret");
        }
        let refused = Some("it does not show that its sender knows the federation's secret".to_owned());
        // Fails if the peer no longer waits: nothing to do.
        let _ = self.swarm.behaviour_mut().direct.send_response(channel, Ack { refused, ..Ack::default() }.encode());
    }

    fn on_ack(&mut self, peer: PeerId, id: OutboundRequestId, bytes: &[u8]) {
        let Some(sequence) = self.lanes.answered(peer, &id) else { return };
        self.send_due();
        let Some(entry) = self.peers.get(&peer) else { return };
        let node = entry.node.clone();
        match Ack::decode(bytes) {
            Some(Ack { refused: Some(reason), .. }) => {
                if let Some(left_out) = self.refusals.take(Instant::now()) {
                    tracing::warn!(%peer, reason = shown(&reason), left_out, "the peer refused our state");
                }
                self.counters.add(Count::StateSendRefused);
            }
            Some(ack) if ack.sequence == sequence => {
                self.counters.add(Count::StateSent);
                // Whom a stranger names is no more than a stranger.
                if self.may_speak(&node) || self.dial.is_bootstrap(&peer) {
                    self.meet(peer, &ack.peers);
                }
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
