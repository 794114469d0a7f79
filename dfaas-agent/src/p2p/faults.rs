//! What neighbours are charged for: bad messages of their own. Messages they pass on are their authors' fault, also those
//! that the library cannot read, and others can: keys and numbers of another kind. No I/O; the clock is passed in.

use std::{collections::BTreeMap, time::Instant};

use libp2p::PeerId;

/// Peers with faults that are remembered; of more, those with the fewest are forgotten.
const MAX_PEERS: usize = 1024;
/// What is left of a fault after ten seconds.
const LEFT: f64 = 0.9;
/// Fewer are none.
const NONE: f64 = 0.1;
/// Points for the square of the faults: with six in a minute a peer is not listened to any more (`gossip/score.rs`).
const POINTS: f64 = -10.0;

#[derive(Debug, Default)]
pub(super) struct Faults {
    peers: BTreeMap<PeerId, Fault>,
}

#[derive(Debug)]
struct Fault {
    count: f64,
    at: Instant,
}

impl Fault {
    fn left(&self, now: Instant) -> f64 {
        self.count * LEFT.powf(now.saturating_duration_since(self.at).as_secs_f64() / 10.0)
    }
}

impl Faults {
    /// One more fault; the peer's score.
    pub(super) fn add(&mut self, peer: PeerId, now: Instant) -> f64 {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            let fewest = self.peers.iter().min_by(|(_, a), (_, b)| a.left(now).total_cmp(&b.left(now)));
            if let Some(peer) = fewest.map(|(peer, _)| *peer) {
                self.peers.remove(&peer);
            }
        }
        let fault = self.peers.entry(peer).or_insert(Fault { count: 0.0, at: now });
        *fault = Fault { count: fault.left(now) + 1.0, at: now };
        score(fault.count)
    }

    /// The scores of all who had faults; those whose are forgotten are told once more.
    pub(super) fn scores(&mut self, now: Instant) -> Vec<(PeerId, f64)> {
        let left = |fault: &Fault| Some(fault.left(now)).filter(|left| *left >= NONE);
        let scores = self.peers.iter().map(|(peer, fault)| (*peer, left(fault).map_or(0.0, score))).collect();
        self.peers.retain(|_, fault| left(fault).is_some());
        scores
    }
}

fn score(faults: f64) -> f64 {
    POINTS * faults * faults
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_few_faults_are_forgiven_many_are_not_for_a_while() {
        let start = Instant::now();
        let peer = PeerId::random();
        let mut faults = Faults::default();
        let scores: Vec<f64> = (0..6).map(|_| faults.add(peer, start)).collect();
        assert_eq!(scores, [-10.0, -40.0, -90.0, -160.0, -250.0, -360.0]);
        let after = |faults: &mut Faults, seconds| faults.scores(start + Duration::from_secs(seconds));
        let score = after(&mut faults, 60)[0].1;
        assert!((-110.0..-90.0).contains(&score), "{score}");
        assert_eq!(after(&mut faults, 600), [(peer, 0.0)]);
        assert_eq!(after(&mut faults, 601), []);
    }

    #[test]
    fn a_crowd_with_one_fault_each_does_not_hide_one_with_many() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut faults = Faults::default();
        (0..6).for_each(|_| _ = faults.add(peer, now));
        (0..3 * MAX_PEERS).for_each(|_| _ = faults.add(PeerId::random(), now));
        assert_eq!(faults.peers.len(), MAX_PEERS);
        assert!(faults.scores(now).contains(&(peer, -360.0)));
    }
}
