//! What the overlay tells the agent, through a bounded channel that a slow agent may fill.
//!
//! Connections and their ends always arrive, late if need be. Everything else is repeated by its sender and
//! may be dropped: broadcasts first, so that a flood of them leaves room for states.

use std::{collections::VecDeque, net::IpAddr};

use libp2p::Multiaddr;
use tokio::sync::mpsc;

use super::{
    direct::{NodeState, StateError},
    message::{BadMessage, Message},
};
use crate::name::NodeId;

/// Something that happened on the overlay.
#[derive(Clone, Debug, PartialEq)]
pub enum OverlayEvent {
    Listening(Multiaddr),
    /// The first connection with a peer; more of them are not told.
    Connected {
        peer: NodeId,
        remote: IpAddr,
    },
    /// The last connection with a peer is gone.
    Disconnected {
        peer: NodeId,
    },
    /// What a peer says it is, first or changed. Ours list [`super::direct::PROTOCOL`].
    Identified {
        peer: NodeId,
        agent: String,
        protocols: Vec<String>,
    },
    /// A message to all, signed by `from`, who need not be connected to us.
    Broadcast {
        from: NodeId,
        message: Message,
    },
    BadMessage {
        from: NodeId,
        reason: BadMessage,
    },
    /// Newer than any state of this peer before.
    State {
        from: NodeId,
        state: NodeState,
    },
    /// We refused a state of this peer.
    StateRefused {
        peer: NodeId,
        reason: StateError,
    },
    /// The peer has taken our state of this number, or a newer one.
    StateAcknowledged {
        peer: NodeId,
        sequence: u64,
    },
}

impl OverlayEvent {
    /// The peer that is there or says something.
    pub fn speaker(&self) -> Option<&NodeId> {
        match self {
            Self::Connected { peer, .. } | Self::Identified { peer, .. } => Some(peer),
            Self::Broadcast { from, .. } | Self::State { from, .. } => Some(from),
            _ => None,
        }
    }
}

/// Events the channel holds.
const CAPACITY: usize = 512;

#[derive(Debug)]
pub(super) struct Outbox {
    events: mpsc::Sender<OverlayEvent>,
    /// Connections and their ends that found the channel full: at most one of each per peer.
    late: VecDeque<OverlayEvent>,
}

impl Outbox {
    pub(super) fn new() -> (Self, mpsc::Receiver<OverlayEvent>) {
        let (events, receiver) = mpsc::channel(CAPACITY);
        (Self { events, late: VecDeque::new() }, receiver)
    }

    /// An event that may be dropped; false if it was.
    pub(super) fn offer(&mut self, event: OverlayEvent) -> bool {
        let reserved = match event {
            OverlayEvent::Broadcast { .. } | OverlayEvent::BadMessage { .. } => CAPACITY / 2,
            _ => CAPACITY / 4,
        };
        self.late.is_empty() && self.events.capacity() > reserved && self.events.try_send(event).is_ok()
    }

    pub(super) fn connected(&mut self, peer: NodeId, remote: IpAddr) {
        self.must_arrive(OverlayEvent::Connected { peer, remote });
    }

    pub(super) fn disconnected(&mut self, peer: NodeId) {
        // A connection the agent never heard of need not be told at all.
        let told = |event: &OverlayEvent| !matches!(event, OverlayEvent::Connected { peer: late, .. } if *late == peer);
        let before = self.late.len();
        self.late.retain(told);
        if self.late.len() == before {
            self.must_arrive(OverlayEvent::Disconnected { peer });
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    pub(super) fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Waits for room and uses it for a late event. Safe to cancel.
    pub(super) async fn flush(&mut self) {
        match self.events.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.late.pop_front() {
                    permit.send(event);
                }
            }
            Err(_closed) => self.late.clear(),
        }
    }

    fn must_arrive(&mut self, event: OverlayEvent) {
        if self.late.is_empty() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.late.push_back(event);
            }
        } else {
            self.late.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(letter: char) -> NodeId {
        letter.to_string().repeat(40).parse().unwrap()
    }

    fn broadcast() -> OverlayEvent {
        OverlayEvent::Broadcast { from: node('x'), message: Message::Text(String::new()) }
    }

    fn state() -> OverlayEvent {
        OverlayEvent::StateAcknowledged { peer: node('x'), sequence: 1 }
    }

    fn local() -> IpAddr {
        "127.0.0.1".parse().unwrap()
    }

    #[tokio::test]
    async fn a_flood_of_broadcasts_leaves_room_for_states_and_both_for_connections() {
        let (mut outbox, mut events) = Outbox::new();
        assert_eq!((0..2000).filter(|_| outbox.offer(broadcast())).count(), CAPACITY / 2);
        assert_eq!((0..2000).filter(|_| outbox.offer(state())).count(), CAPACITY / 4);
        outbox.connected(node('a'), local());
        assert!(!outbox.has_late());
        events.recv().await.unwrap();
        assert!(!outbox.offer(broadcast()));
    }

    #[tokio::test]
    async fn connections_arrive_late_in_order_and_those_that_came_and_went_not_at_all() {
        let (mut outbox, mut events) = Outbox::new();
        for _ in 0..CAPACITY {
            outbox.connected(node('a'), local());
        }
        outbox.disconnected(node('a'));
        for _ in 0..10_000 {
            outbox.connected(node('a'), local());
            outbox.disconnected(node('a'));
            outbox.connected(node('b'), local());
            outbox.disconnected(node('b'));
        }
        outbox.connected(node('a'), local());
        assert_eq!(outbox.late.len(), 2);
        assert!(!outbox.offer(state()), "nothing may overtake them");
        for _ in 0..CAPACITY {
            events.recv().await.unwrap();
        }
        assert!(!outbox.offer(state()));
        outbox.flush().await;
        outbox.flush().await;
        assert!(!outbox.has_late() && outbox.offer(state()));
        assert_eq!(events.recv().await, Some(OverlayEvent::Disconnected { peer: node('a') }));
        assert_eq!(events.recv().await, Some(OverlayEvent::Connected { peer: node('a'), remote: local() }));
        assert_eq!(events.recv().await, Some(state()));
    }

    #[tokio::test]
    async fn a_closed_channel_never_blocks() {
        let (mut outbox, events) = Outbox::new();
        for _ in 0..=CAPACITY {
            outbox.connected(node('a'), local());
        }
        assert!(outbox.has_late());
        drop(events);
        outbox.flush().await;
        assert!(!outbox.has_late() && outbox.is_closed() && !outbox.offer(state()));
    }
}
