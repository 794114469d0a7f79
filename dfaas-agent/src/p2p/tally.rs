//! What became of the messages of each peer. Bounded: words are fixed, and of many peers the longest silent ones
//! are counted together.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::name::NodeId;

/// Peers counted by name.
const MAX_PEERS: usize = 256;

/// One series of counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageCount {
    /// The author; `None`: all who are not counted by name.
    pub peer: Option<NodeId>,
    /// `MsgType` of a broadcast, `state` of the direct protocol, `unknown`, or `unread` if it could not be decoded.
    pub kind: &'static str,
    /// `ok`, `flood`, `stranger`, or why it is bad.
    pub outcome: &'static str,
    pub count: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

type Series = BTreeMap<(&'static str, &'static str), u64>;

#[derive(Debug, Default)]
struct Counts {
    peers: BTreeMap<NodeId, (u64, Series)>,
    others: Series,
    /// Number of the last message.
    now: u64,
}

impl Tally {
    pub(super) fn add(&self, peer: &NodeId, kind: &'static str, outcome: &'static str) {
        let mut counts = self.lock();
        counts.now += 1;
        let now = counts.now;
        if !counts.peers.contains_key(peer) {
            counts.make_room();
            counts.peers.insert(peer.clone(), (now, Series::new()));
        }
        if let Some((last, series)) = counts.peers.get_mut(peer) {
            *last = now;
            *series.entry((kind, outcome)).or_default() += 1;
        }
    }

    pub(super) fn snapshot(&self) -> Vec<MessageCount> {
        let counts = self.lock();
        let named = counts.peers.iter().map(|(peer, (_, series))| (Some(peer), series));
        let all = named.chain(std::iter::once((None, &counts.others)));
        all.flat_map(|(peer, series)| {
            series.iter().map(move |((kind, outcome), count)| MessageCount {
                peer: peer.cloned(),
                kind,
                outcome,
                count: *count,
            })
        })
        .collect()
    }

    /// A panic of another holder leaves at worst one message uncounted.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn make_room(&mut self) {
        if self.peers.len() < MAX_PEERS {
            return;
        }
        let silent = self.peers.iter().min_by_key(|(_, (last, _))| *last).map(|(peer, _)| peer.clone());
        if let Some((_, series)) = silent.and_then(|peer| self.peers.remove(&peer)) {
            for (words, count) in series {
                *self.others.entry(words).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> NodeId {
        format!("{number:0>40}").parse().unwrap()
    }

    #[test]
    fn counts_are_kept_by_peer_kind_and_outcome() {
        let tally = Tally::default();
        tally.add(&node(1), "text", "ok");
        tally.add(&node(1), "text", "ok");
        tally.add(&node(1), "unread", "malformed");
        tally.add(&node(2), "text", "ok");
        let series = |peer, kind, outcome, count| MessageCount { peer: Some(node(peer)), kind, outcome, count };
        let expected = [series(1, "text", "ok", 2), series(1, "unread", "malformed", 1), series(2, "text", "ok", 1)];
        assert_eq!(tally.snapshot(), expected);
    }

    #[test]
    fn a_crowd_of_peers_adds_no_series_and_loses_no_count() {
        let tally = Tally::default();
        for number in 0..10 * MAX_PEERS {
            tally.add(&node(number), "text", "ok");
            tally.add(&node(0), "text", "ok");
        }
        let snapshot = tally.snapshot();
        assert_eq!(snapshot.len(), MAX_PEERS + 1);
        assert_eq!(snapshot.iter().map(|series| series.count).sum::<u64>(), 20 * MAX_PEERS as u64);
        assert!(snapshot.iter().any(|series| series.peer == Some(node(0))), "who goes on speaking keeps its name");
    }
}
