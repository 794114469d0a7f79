//! Bytes that wait for neighbours, over all of them. The library bounds its queues by count alone: a few neighbours that
//! read slowly, and large messages, would be a gigabyte.
//!
//! What waits cannot be seen, so it is reckoned: what was given to the library for a neighbour, less what its streams have
//! written; nothing, once its queue has been seen empty. Messages a neighbour asks for by name are not in it.

use std::{collections::BTreeMap, sync::Arc};

use crate::p2p::meter::Meter;

/// What waits, by neighbour.
#[derive(Debug)]
pub(super) struct Waiting<Peer> {
    most: u64,
    peers: BTreeMap<Peer, Account>,
}

#[derive(Debug, Default)]
struct Account {
    meter: Arc<Meter>,
    /// What the meter showed at the last look.
    written: u64,
    waiting: u64,
}

impl Account {
    fn look(&mut self) {
        let written = self.meter.written();
        self.waiting = self.waiting.saturating_sub(written - self.written);
        self.written = written;
        if self.meter.is_empty() {
            self.waiting = 0;
        }
    }
}

impl<Peer: Ord + Copy> Waiting<Peer> {
    pub(super) const fn new(most: u64) -> Self {
        Self { most, peers: BTreeMap::new() }
    }

    pub(super) fn meter(&mut self, peer: Peer) -> Arc<Meter> {
        Arc::clone(&self.peers.entry(peer).or_default().meter)
    }

    /// The last connection of a neighbour is gone, and its queue with it.
    pub(super) fn gone(&mut self, peer: Peer) {
        self.peers.remove(&peer);
    }

    /// A message was given to the library for these neighbours. To be called after that: a queue seen empty in between
    /// is one that has sent it.
    pub(super) fn add(&mut self, to: impl IntoIterator<Item = Peer>, bytes: usize) {
        for peer in to {
            if let Some(account) = self.peers.get_mut(&peer) {
                account.look();
                account.meter.has_message();
                account.waiting += bytes as u64;
            }
        }
    }

    /// The neighbour for whom most waits, if more waits for all than may. It counts no more: it has to go.
    pub(super) fn too_slow(&mut self) -> Option<Peer> {
        if self.total() <= self.most {
            return None;
        }
        self.peers.values_mut().for_each(Account::look);
        if self.total() <= self.most {
            return None;
        }
        let slowest = self.peers.iter().max_by_key(|(_, account)| account.waiting).map(|(peer, _)| *peer)?;
        self.peers.remove(&slowest);
        Some(slowest)
    }

    /// As of the last looks.
    fn total(&self) -> u64 {
        self.peers.values().map(|account| account.waiting).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::meter::{blocked, wrote};

    fn writes(meter: &Arc<Meter>, bytes: usize, is_blocked: bool) {
        let write = || {
            wrote(bytes);
            if is_blocked {
                blocked();
            }
        };
        meter.watch(write, |()| true);
    }

    #[test]
    fn what_was_given_and_not_written_waits_and_an_empty_queue_ends_all_doubt() {
        let mut waiting = Waiting::new(1000);
        let meter = waiting.meter('a');
        waiting.add(['a', 'b'], 600);
        assert_eq!(waiting.total(), 600, "only of neighbours");
        writes(&meter, 200, true);
        waiting.add(['a'], 300);
        assert_eq!(waiting.total(), 700);
        writes(&meter, 10, false);
        waiting.add(['a'], 1);
        assert_eq!(waiting.total(), 1);
    }

    #[test]
    fn of_too_much_the_slowest_goes_and_the_others_stay() {
        let mut waiting = Waiting::new(1000);
        let meters = ['a', 'b', 'c'].map(|peer| waiting.meter(peer));
        for meter in &meters {
            writes(meter, 0, true);
        }
        for _ in 0..10 {
            waiting.add(['a', 'b', 'c'], 60);
            writes(&meters[0], 50, true);
            writes(&meters[2], 60, false);
        }
        assert_eq!(waiting.too_slow(), None, "not more than may: {waiting:?}");
        waiting.add(['a', 'b', 'c'], 400);
        writes(&meters[2], 400, false);
        assert_eq!(waiting.too_slow(), Some('b'));
        assert_eq!(waiting.too_slow(), None);
        waiting.gone('a');
        assert_eq!(waiting.total(), 0);
    }

    #[test]
    fn bytes_count_only_where_gossip_is_written() {
        let mut waiting = Waiting::new(1000);
        let meter = waiting.meter('a');
        waiting.add(['a'], 100);
        wrote(100);
        blocked();
        waiting.add(['a'], 0);
        assert_eq!(waiting.total(), 100);
        meter.watch(|| wrote(30), |()| false);
        waiting.add(['a'], 0);
        assert_eq!(waiting.total(), 70);
    }
}
