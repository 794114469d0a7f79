//! States on their way: per peer one in flight and one waiting, the newest. No I/O, no clock.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Pause before a state that did not arrive is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An encoded state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::p2p) struct Outgoing {
    pub(in crate::p2p) sequence: u64,
    pub(in crate::p2p) bytes: Vec<u8>,
}

/// `Peer` names the receiver, `Id` one request.
#[derive(Debug)]
pub(in crate::p2p) struct Lanes<Peer, Id> {
    lanes: BTreeMap<Peer, Lane<Id>>,
}

#[derive(Debug)]
struct Lane<Id> {
    in_flight: Option<(Id, Outgoing)>,
    waiting: Option<Outgoing>,
    not_before: Option<Instant>,
}

impl<Peer: Ord + Copy, Id: PartialEq> Lanes<Peer, Id> {
    pub(in crate::p2p) fn new() -> Self {
        Self { lanes: BTreeMap::new() }
    }

    /// Queues a state, in the place of one that waits.
    pub(in crate::p2p) fn offer(&mut self, peer: Peer, state: Outgoing) {
        let lane = self.lanes.entry(peer).or_insert(Lane { in_flight: None, waiting: None, not_before: None });
        lane.waiting = Some(state);
        lane.not_before = None;
    }

    /// Sends every state whose turn it is.
    pub(in crate::p2p) fn send_due(&mut self, now: Instant, mut send: impl FnMut(Peer, Vec<u8>) -> Id) {
        for (peer, lane) in &mut self.lanes {
            if lane.in_flight.is_none()
                && lane.not_before.is_none_or(|at| at <= now)
                && let Some(state) = lane.waiting.take()
            {
                lane.in_flight = Some((send(*peer, state.bytes.clone()), state));
                lane.not_before = None;
            }
        }
    }

    /// A request was answered; its sequence number.
    pub(in crate::p2p) fn answered(&mut self, peer: Peer, id: &Id) -> Option<u64> {
        self.take(peer, id).map(|state| state.sequence)
    }

    /// A request failed: it is sent again unless a newer state waits.
    pub(in crate::p2p) fn failed(&mut self, peer: Peer, id: &Id, now: Instant) {
        if let Some(state) = self.take(peer, id)
            && let Some(lane) = self.lanes.get_mut(&peer)
            && lane.waiting.is_none()
        {
            lane.waiting = Some(state);
            lane.not_before = Some(now + RETRY_AFTER);
        }
    }

    /// The peer is gone, or does not speak the protocol.
    pub(in crate::p2p) fn forget(&mut self, peer: Peer) {
        self.lanes.remove(&peer);
    }

    pub(in crate::p2p) fn is_idle(&self) -> bool {
        self.lanes.values().all(|lane| lane.in_flight.is_none() && lane.waiting.is_none())
    }

    fn take(&mut self, peer: Peer, id: &Id) -> Option<Outgoing> {
        let lane = self.lanes.get_mut(&peer)?;
        lane.in_flight.take_if(|(in_flight, _)| in_flight == id).map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sequence: u64) -> Outgoing {
        Outgoing { sequence, bytes: vec![sequence as u8] }
    }

    /// What was sent: peer and sequence; the request id is 10 times the sequence.
    fn sent(lanes: &mut Lanes<char, u64>, now: Instant) -> Vec<(char, u64)> {
        let mut sent = vec![];
        lanes.send_due(now, |peer, bytes| {
            sent.push((peer, u64::from(bytes[0])));
            u64::from(bytes[0]) * 10
        });
        sent
    }

    #[test]
    fn of_all_states_offered_while_one_is_in_flight_only_the_newest_is_sent_next() {
        let now = Instant::now();
        let mut lanes = Lanes::new();
        lanes.offer('a', state(1));
        assert_eq!(sent(&mut lanes, now), [('a', 1)]);
        for sequence in 2..=9 {
            lanes.offer('a', state(sequence));
            assert_eq!(sent(&mut lanes, now), []);
        }
        lanes.offer('b', state(1));
        assert_eq!(sent(&mut lanes, now), [('b', 1)]);
        assert_eq!(lanes.answered('a', &10), Some(1));
        assert_eq!(sent(&mut lanes, now), [('a', 9)]);
        assert_eq!(lanes.answered('a', &10), None, "an answer counts once");
        assert!(!lanes.is_idle());
        assert_eq!((lanes.answered('a', &90), lanes.answered('b', &10)), (Some(9), Some(1)));
        assert!(lanes.is_idle());
    }

    #[test]
    fn a_failed_state_is_sent_again_later_unless_a_newer_one_waits() {
        let now = Instant::now();
        let mut lanes = Lanes::new();
        lanes.offer('a', state(1));
        sent(&mut lanes, now);
        lanes.failed('a', &10, now);
        assert_eq!(sent(&mut lanes, now), []);
        assert_eq!(sent(&mut lanes, now + RETRY_AFTER), [('a', 1)]);
        lanes.offer('a', state(2));
        lanes.failed('a', &10, now);
        assert_eq!(sent(&mut lanes, now), [('a', 2)], "a newer state does not wait for the pause");
        lanes.failed('a', &20, now);
        lanes.offer('a', state(3));
        assert_eq!(sent(&mut lanes, now), [('a', 3)]);
    }

    #[test]
    fn a_forgotten_peer_leaves_nothing_behind() {
        let now = Instant::now();
        let mut lanes = Lanes::new();
        lanes.offer('a', state(1));
        sent(&mut lanes, now);
        lanes.offer('a', state(2));
        lanes.forget('a');
        lanes.failed('a', &10, now);
        assert_eq!(sent(&mut lanes, now + RETRY_AFTER), []);
        assert!(lanes.is_idle());
    }
}
