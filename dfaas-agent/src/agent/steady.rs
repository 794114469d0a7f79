//! Rates as the strategies see them. A measured rate is never twice the same: under a steady load it moves by a call or two
//! with every sample, here and at every peer, and each move would be another decision for both data planes and all peers. So
//! a rate stays as it was until another one is news.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    name::{FunctionName, NodeId},
    strategy::Snapshot,
};

/// A rate that differs by less than this share of the larger one is no news.
const SHARE: f64 = 0.05;
/// Nor is one that differs by so many calls in the window over which it is measured.
const CALLS: f64 = 2.0;

/// The rates that were last taken for news.
#[derive(Debug, Default)]
pub(super) struct Steady {
    own: BTreeMap<FunctionName, f64>,
    excess: BTreeMap<(NodeId, FunctionName), f64>,
}

impl Steady {
    /// Puts the rates of a snapshot back to what they were unless they are news. `window`: over which rates are measured.
    pub(super) fn settle(&mut self, snapshot: &mut Snapshot, window: Duration) {
        let noise = CALLS / window.as_secs_f64().max(0.001);
        let before = std::mem::take(self);
        for (name, function) in &mut snapshot.functions {
            function.rate = settled(before.own.get(name), function.rate, noise);
            self.own.insert(name.clone(), function.rate);
        }
        for (node, peer) in &mut snapshot.peers {
            for (name, function) in &mut peer.functions {
                let key = (node.clone(), name.clone());
                function.excess = settled(before.excess.get(&key), function.excess, noise);
                self.excess.insert(key, function.excess);
            }
        }
    }
}

/// Nothing is always news: a node that has become idle offers all it has.
fn settled(before: Option<&f64>, now: f64, noise: f64) -> f64 {
    match before {
        Some(before) if now > 0.0 && *before > 0.0 && (now - before).abs() <= noise.max(SHARE * now.max(*before)) => {
            *before
        }
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{
        Inputs, LocalFunction, PeerFunction, PeerView, Plan, Strategy,
        test_names::{function, node},
    };

    const WINDOW: Duration = Duration::from_secs(1);

    fn snapshot(rate: f64, excess: f64) -> Snapshot {
        let peer = |excess| PeerView {
            functions: [(function("f"), PeerFunction { limit_out: 20.0, excess })].into(),
            margin: None,
        };
        Snapshot {
            functions: [(function("f"), LocalFunction { max_rate: Some(100.0), rate, timeout: None })].into(),
            peers: [(node(1), peer(excess)), (node(2), peer(0.0))].into(),
        }
    }

    fn seen(steady: &mut Steady, rate: f64, excess: f64) -> (f64, f64) {
        let mut snapshot = snapshot(rate, excess);
        steady.settle(&mut snapshot, WINDOW);
        (snapshot.functions[&function("f")].rate, snapshot.peers[&node(1)].functions[&function("f")].excess)
    }

    /// A peer at 20 calls per second and a limit of 5, as it says once a second.
    #[test]
    fn an_idle_node_beside_a_loaded_one_decides_once() {
        let mut steady = Steady::default();
        let plan = Plan::default();
        let mut decisions: Vec<_> = [15.0, 14.0, 16.0, 15.2, 14.8, 16.0, 13.0]
            .map(|excess| {
                let mut snapshot = snapshot(0.0, excess);
                steady.settle(&mut snapshot, WINDOW);
                Strategy::Recalc.decide(Inputs { snapshot: &snapshot, plan: &plan, compat: None })
            })
            .into();
        decisions.dedup();
        assert_eq!(decisions.len(), 1);
    }

    #[test]
    fn what_is_news_is_taken_as_it_is() {
        let mut steady = Steady::default();
        assert_eq!(seen(&mut steady, 50.0, 0.0), (50.0, 0.0));
        assert_eq!(seen(&mut steady, 52.0, 1.0), (50.0, 1.0), "the first need of a peer is news");
        assert_eq!(seen(&mut steady, 53.0, 2.5), (53.0, 1.0));
        assert_eq!(seen(&mut steady, 0.0, 0.0), (0.0, 0.0), "idle");
        assert_eq!(seen(&mut steady, 1.0, 9.0), (1.0, 9.0));
    }

    #[test]
    fn small_moves_do_not_add_up() {
        let mut steady = Steady::default();
        let mut last = 0.0;
        for tenth in 1000..2000 {
            let rate = f64::from(tenth) / 10.0;
            last = seen(&mut steady, rate, 0.0).0;
            assert!((rate - last).abs() <= SHARE * rate, "{rate} is seen as {last}");
        }
        assert!(last > 180.0);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut steady = Steady::default();
        seen(&mut steady, 50.0, 30.0);
        steady.settle(&mut Snapshot::default(), WINDOW);
        assert_eq!(seen(&mut steady, 51.0, 31.0), (51.0, 31.0));
    }
}
