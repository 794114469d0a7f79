//! Static: a fixed share stays here, the rest goes to the peers in equal parts. Nothing is measured, nothing limited.
//!
//! As the original, for the peers that run the function only (there one shared function made a
//! neighbour take part in all, B13).

use std::collections::BTreeMap;

use super::{FunctionTables, LocalFunction, Rounding, Snapshot, names, open_grants, runners};
use crate::{
    decision::{FunctionTable, Shape, Weights},
    name::{FunctionName, NodeId},
};

/// Percent that stays here while there are peers.
const LOCAL: u32 = 60;

pub(super) fn decide(snapshot: &Snapshot, rounding: Rounding) -> FunctionTables {
    names(snapshot).into_iter().map(|name| (name.clone(), table(snapshot, name, rounding))).collect()
}

fn table(snapshot: &Snapshot, name: &FunctionName, rounding: Rounding) -> FunctionTable {
    let local: Option<&LocalFunction> = snapshot.functions.get(name);
    let limits_out = runners(snapshot, name);
    let here = match (local, limits_out.is_empty()) {
        (Some(_), true) => 100,
        (Some(_), false) => LOCAL,
        (None, _) => 0,
    };
    FunctionTable {
        deployed: local.is_some(),
        local_limit: if local.is_some() { None } else { Some(0.0) },
        shape: Shape::Weighted,
        weights: Weights { local: here, reject: 0, peers: shares(100 - here, &limits_out, rounding) },
        limits_in: open_grants(snapshot),
        limits_out,
        timeout: local.and_then(|f| f.timeout),
    }
}

/// `percent` in equal parts.
fn shares(percent: u32, peers: &BTreeMap<NodeId, f64>, rounding: Rounding) -> BTreeMap<NodeId, u32> {
    let n = peers.len() as u32;
    if n == 0 || percent == 0 {
        return BTreeMap::new();
    }
    let share = |i: u32| match rounding {
        Rounding::Original => (f64::from(percent) / f64::from(n)).round() as u32,
        // The first ones get what division leaves.
        Rounding::LargestRemainder => percent / n + u32::from(i < percent % n),
    };
    peers.keys().cloned().zip((0..).map(share)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{
        PeerFunction, PeerView,
        test_names::{function, node},
    };

    fn decided(peers: &[&[&str]], rounding: Rounding) -> FunctionTable {
        let local = LocalFunction { max_rate: Some(5.0), rate: 50.0, timeout: None };
        let view = |functions: &&[&str]| PeerView {
            functions: functions
                .iter()
                .map(|f| (function(f), PeerFunction { limit_out: crate::decision::UNLIMITED, excess: 0.0 }))
                .collect(),
            ..PeerView::default()
        };
        let snapshot = Snapshot {
            functions: [(function("f"), local)].into(),
            peers: peers.iter().enumerate().map(|(i, p)| (node(i as u8), view(p))).collect(),
        };
        decide(&snapshot, rounding).remove(&function("f")).unwrap()
    }

    /// Appendix A of the reference.
    #[test]
    fn the_originals_weights_are_rounded_one_by_one() {
        for (n, each) in [(1, 40), (2, 20), (3, 13), (4, 10), (5, 8), (10, 4)] {
            let table = decided(&vec![["f"].as_slice(); n], Rounding::Original);
            assert_eq!(table.weights.local, 60);
            assert!(table.weights.peers.len() == n && table.weights.peers.values().all(|w| *w == each), "{n}");
        }
    }

    #[test]
    fn ours_sum_to_a_hundred() {
        for n in 0..20 {
            let table = decided(&vec![["f"].as_slice(); n], Rounding::LargestRemainder);
            assert_eq!(table.weights.local + table.weights.peers.values().sum::<u32>(), 100);
        }
    }

    /// B13.
    #[test]
    fn a_peer_without_the_function_gets_no_share() {
        let table = decided(&[&["f"], &["g"]], Rounding::LargestRemainder);
        assert_eq!(table.weights.peers, [(node(0), 40)].into());
    }

    #[test]
    fn a_function_that_only_peers_run_goes_to_them() {
        let table = &decide(
            &Snapshot {
                functions: BTreeMap::new(),
                peers: [(
                    node(1),
                    PeerView {
                        functions: [(function("g"), PeerFunction { limit_out: 1.0, excess: 0.0 })].into(),
                        ..PeerView::default()
                    },
                )]
                .into(),
            },
            Rounding::LargestRemainder,
        )[&function("g")];
        assert_eq!((table.weights.local, table.weights.peers[&node(1)], table.deployed), (0, 100, false));
    }
}
