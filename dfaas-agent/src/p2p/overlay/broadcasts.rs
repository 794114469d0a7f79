//! Messages to all: judged before they are passed on.

use std::time::Instant;

use libp2p::{
    PeerId,
    gossipsub::{self, FailedMessages, MessageAcceptance, PublishError},
};

use super::Overlay;
use crate::{
    name::NodeId,
    p2p::{
        counters::Count,
        event::OverlayEvent,
        gossip::GossipEvent,
        message::{Decoded, Message},
    },
};

/// The kind of a message nobody looked into.
const UNREAD: &str = "unread";

impl Overlay {
    pub(super) fn publish(&mut self, text: Vec<u8>) {
        let count = match self.swarm.behaviour_mut().gossip.broadcast(text) {
            Ok(_) => Count::BroadcastSent,
            Err(PublishError::NoPeersSubscribedToTopic) => Count::BroadcastAlone,
            Err(error) => {
                tracing::warn!(%error, "broadcast not sent");
                Count::BroadcastFailed
            }
        };
        self.counters.add(count);
    }

    pub(super) fn on_gossip(&mut self, event: GossipEvent) {
        let event = match event {
            GossipEvent::Library(event) => event,
            GossipEvent::Off { peer, connection, why } => return self.gossip_off(peer, connection, why),
            GossipEvent::TooSlow { peer } => return self.too_slow(peer),
        };
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let acceptance = self.judge(propagation_source, &message);
                let (gossip, bytes) = (&mut self.swarm.behaviour_mut().gossip, message.data.len());
                gossip.judged(&message_id, &propagation_source, acceptance, bytes);
            }
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                let FailedMessages { priority, non_priority } = failed_messages;
                tracing::debug!(peer = %peer_id, priority, non_priority, "peer takes messages slowly");
                self.counters.add_many(Count::BroadcastUnsent, priority + non_priority);
            }
            _ => {}
        }
    }

    /// The author answers for a message, not the neighbour who passed it on: original agents pass on anything.
    fn judge(&mut self, neighbour: PeerId, message: &gossipsub::Message) -> MessageAcceptance {
        if let Some(peer) = self.peers.get_mut(&neighbour)
            && !peer.broadcasts.take(Instant::now())
        {
            self.counters.add(Count::BroadcastFlood);
            return MessageAcceptance::Ignore;
        }
        let Some((author, from)) =
            message.source.and_then(|author| Some((author, author.to_base58().parse::<NodeId>().ok()?)))
        else {
            return MessageAcceptance::Reject;
        };
        if !self.may_speak(&from) {
            self.tally(&from, UNREAD, Count::BroadcastStranger);
            return MessageAcceptance::Ignore;
        }
        if !self.authors.take(author, message.data.len(), Instant::now()) {
            self.tally(&from, UNREAD, Count::BroadcastAuthorFlood);
            return MessageAcceptance::Ignore;
        }
        match Message::decode(&message.data) {
            Ok(Decoded { message, dropped_names }) => {
                match message.known_kind() {
                    Some(kind) => self.tally(&from, kind, Count::BroadcastReceived),
                    None => self.tally(&from, "unknown", Count::BroadcastUnknown),
                }
                self.counters.add_many(Count::BadName, dropped_names);
                self.tell(OverlayEvent::Broadcast { from, message }, Count::BroadcastDropped);
                MessageAcceptance::Accept
            }
            Err(reason) => {
                tracing::debug!(%from, %reason, "bad message");
                self.tally(&from, UNREAD, Count::from(&reason));
                self.tell(OverlayEvent::BadMessage { from, reason }, Count::BroadcastDropped);
                // Costs the author its score, but not a neighbour who passed it on.
                if author == neighbour {
                    let score = self.faults.add(author, Instant::now());
                    self.swarm.behaviour_mut().gossip.set_application_score(&author, score);
                }
                MessageAcceptance::Reject
            }
        }
    }

    /// Faults fade.
    pub(super) fn forgive(&mut self) {
        for (peer, score) in self.faults.scores(Instant::now()) {
            self.swarm.behaviour_mut().gossip.set_application_score(&peer, score);
        }
    }

    /// Counts a message, in all and for its author.
    pub(super) fn tally(&self, from: &NodeId, kind: &'static str, count: Count) {
        self.counters.add(count);
        self.tally.add(from, kind, count.labels().1);
    }
}
