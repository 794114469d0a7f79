//! Recalc: serve up to the limit, offer the margin to the peers, send the excess where it is accepted.
//!
//! As the original, without its losses: the margin is shared by demand (peers that have more than
//! they can serve come first, what is left is offered equally), fractions are kept, and the excess is spread by what each
//! peer accepts whether or not this node is over its limit at the moment: the data planes use it above the limit only.

mod compat;

use std::collections::BTreeMap;

pub use compat::{Compat, Entry};

use super::{FunctionTables, LocalFunction, PeerFunction, Snapshot, names, percentages};
use crate::{
    decision::{FunctionTable, Shape, UNLIMITED, Weights},
    name::{FunctionName, NodeId},
};

pub(super) fn decide(snapshot: &Snapshot) -> FunctionTables {
    names(snapshot).into_iter().map(|name| (name.clone(), table(snapshot, name))).collect()
}

fn table(snapshot: &Snapshot, name: &FunctionName) -> FunctionTable {
    let local = snapshot.functions.get(name);
    let peers: BTreeMap<&NodeId, PeerFunction> =
        snapshot.peers.iter().filter_map(|(id, peer)| Some((id, *peer.functions.get(name)?))).collect();
    let limits_out: BTreeMap<NodeId, f64> =
        peers.iter().filter(|(_, f)| f.limit_out > 0.0).map(|(id, f)| ((*id).clone(), f.limit_out)).collect();
    let useful = useful(local);
    let counted = limits_out.iter().map(|(id, limit)| (id.clone(), limit.min(useful))).collect();
    FunctionTable {
        deployed: local.is_some(),
        local_limit: local.map_or(Some(0.0), |f| f.max_rate),
        shape: Shape::LocalFirst,
        weights: Weights { local: 0, reject: 0, peers: percentages(&counted) },
        limits_in: local.map_or_else(BTreeMap::new, |f| share_margin(margin(f), &peers)),
        limits_out,
        timeout: local.and_then(|f| f.timeout),
    }
}

/// How much of what a peer grants counts for its share: our own excess. Whoever grants a million gets no more of it than one
/// who could take it all. While there is none a tenth of the limit stands for it, so that the first calls above it are spread.
fn useful(local: Option<&LocalFunction>) -> f64 {
    const LEAST: f64 = 0.1;
    let Some(LocalFunction { max_rate: Some(max), rate, .. }) = local else { return UNLIMITED };
    (rate - max).max(max * LEAST).max(1.0)
}

/// What our own clients leave.
fn margin(function: &LocalFunction) -> f64 {
    function.max_rate.map_or(0.0, |max| (max - function.rate).max(0.0))
}

/// Max-min fair by demand, then the rest equally: an idle peer keeps an offer for when it needs one.
fn share_margin(margin: f64, peers: &BTreeMap<&NodeId, PeerFunction>) -> BTreeMap<NodeId, f64> {
    if margin <= 0.0 || peers.is_empty() {
        return BTreeMap::new();
    }
    let mut demands: Vec<(&NodeId, f64)> = peers.iter().map(|(id, f)| (*id, f.excess.max(0.0))).collect();
    demands.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut left = margin;
    let mut shares = BTreeMap::new();
    let n = demands.len();
    for (i, (id, demand)) in demands.into_iter().enumerate() {
        let share = demand.min(left / (n - i) as f64);
        left -= share;
        shares.insert(id.clone(), share);
    }
    let rest = left / n as f64;
    for share in shares.values_mut() {
        *share += rest;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{
        PeerView,
        test_names::{function, node},
    };
    use proptest::prelude::{prop, prop_assert, proptest};

    fn snapshot(max: f64, rate: f64, peers: &[(f64, f64)]) -> Snapshot {
        let view = |(limit_out, excess): &(f64, f64)| PeerView {
            functions: [(function("f"), PeerFunction { limit_out: *limit_out, excess: *excess })].into(),
            ..PeerView::default()
        };
        Snapshot {
            functions: [(function("f"), LocalFunction { max_rate: Some(max), rate, timeout: None })].into(),
            peers: peers.iter().enumerate().map(|(i, p)| (node(i as u8), view(p))).collect(),
        }
    }

    fn decided(max: f64, rate: f64, peers: &[(f64, f64)]) -> FunctionTable {
        decide(&snapshot(max, rate, peers)).remove(&function("f")).unwrap()
    }

    #[test]
    fn idle_peers_are_offered_equal_shares() {
        let table = decided(100.0, 30.0, &[(0.0, 0.0), (0.0, 0.0)]);
        assert_eq!(table.limits_in.values().copied().collect::<Vec<_>>(), [35.0, 35.0]);
    }

    #[test]
    fn a_peer_in_need_comes_before_idle_ones() {
        let table = decided(20.0, 0.0, &[(0.0, 40.0), (0.0, 0.0)]);
        assert_eq!(table.limits_in.values().copied().collect::<Vec<_>>(), [20.0, 0.0]);
        let table = decided(20.0, 0.0, &[(0.0, 8.0), (0.0, 0.0)]);
        assert_eq!(table.limits_in.values().copied().collect::<Vec<_>>(), [14.0, 6.0]);
    }

    #[test]
    fn an_overloaded_node_offers_nothing() {
        assert!(decided(10.0, 10.0, &[(5.0, 0.0)]).limits_in.is_empty());
    }

    /// The figure of the paper: 40 calls above the limit, peers that accept 20 and 30.
    #[test]
    fn the_excess_goes_where_it_is_accepted() {
        let table = decided(10.0, 50.0, &[(20.0, 0.0), (30.0, 0.0)]);
        assert_eq!(table.weights.peers.values().copied().collect::<Vec<_>>(), [40, 60]);
        assert_eq!(table.local_limit, Some(10.0));
    }

    #[test]
    fn a_huge_grant_is_no_more_than_one_for_all_that_is_too_much() {
        let table = decided(10.0, 50.0, &[(1e6, 0.0), (20.0, 0.0), (30.0, 0.0)]);
        assert_eq!(table.weights.peers.values().copied().collect::<Vec<_>>(), [45, 22, 33]);
        assert_eq!(table.limits_out[&node(0)], 1e6, "what it accepts is another matter");
        let idle = decided(10.0, 0.0, &[(1e6, 0.0), (20.0, 0.0)]);
        assert_eq!(idle.weights.peers.values().copied().collect::<Vec<_>>(), [50, 50]);
    }

    #[test]
    fn a_function_that_only_peers_run_is_forwarded() {
        let mut snapshot = snapshot(10.0, 0.0, &[(5.0, 0.0)]);
        snapshot.functions.clear();
        let table = &decide(&snapshot)[&function("f")];
        assert!(!table.deployed);
        assert_eq!((table.local_limit, table.weights.peers[&node(0)]), (Some(0.0), 100));
    }

    #[test]
    fn a_function_without_a_limit_is_neither_limited_nor_granted() {
        let mut snapshot = snapshot(10.0, 500.0, &[(5.0, 100.0)]);
        snapshot.functions.get_mut(&function("f")).unwrap().max_rate = None;
        let table = &decide(&snapshot)[&function("f")];
        assert_eq!(table.local_limit, None);
        assert!(table.limits_in.is_empty());
    }

    proptest! {
        #[test]
        fn all_of_the_margin_is_shared_and_no_more(
            max in 0.0f64..1000.0, rate in 0.0f64..1000.0, demands in prop::collection::vec(0.0f64..500.0, 1..8),
        ) {
            let peers: Vec<_> = demands.iter().map(|d| (0.0, *d)).collect();
            let shared: f64 = decided(max, rate, &peers).limits_in.values().sum();
            prop_assert!((shared - (max - rate).max(0.0)).abs() < 1e-6);
        }
    }
}
