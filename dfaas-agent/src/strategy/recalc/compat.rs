//! Recalc in the original's own arithmetic and rhythm: whole numbers, equal parts, two steps half
//! a period apart, and weights only of functions that were overloaded at the first. For comparison with recorded runs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{FunctionTables, LocalFunction, Snapshot, names};
use crate::{
    decision::{FunctionTable, Shape, Weights},
    name::{FunctionName, NodeId},
};

/// What a node remembers of a peer that runs a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Calls per second it may send.
    pub limit_in: u64,
    /// Percent of the excess it gets.
    pub weight: u32,
}

/// The node table between the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compat {
    table: BTreeMap<FunctionName, BTreeMap<NodeId, Entry>>,
    overloaded: BTreeSet<FunctionName>,
}

impl Compat {
    pub fn entry(&self, function: &FunctionName, peer: &NodeId) -> Entry {
        self.table.get(function).and_then(|peers| peers.get(peer)).copied().unwrap_or_default()
    }

    /// Step 1, at k·P: who is overloaded, and what the others may send.
    pub fn grant(&mut self, snapshot: &Snapshot) {
        self.follow(snapshot);
        self.overloaded.clear();
        for (name, function) in &snapshot.functions {
            let Some(max) = function.max_rate.map(|max| max as u64) else { continue };
            let peers = self.table.entry(name.clone()).or_default();
            // A window without a call has no rate, and a node without a rate is not overloaded.
            if function.rate > 0.0 && function.rate >= max as f64 {
                self.overloaded.insert(name.clone());
                for entry in peers.values_mut() {
                    entry.limit_in = 0;
                }
            } else {
                let margin = max.saturating_sub(function.rate as u64);
                let share = margin.checked_div(peers.len() as u64).unwrap_or(0);
                for entry in peers.values_mut() {
                    *entry = Entry { limit_in: share, weight: 0 };
                }
            }
        }
    }

    /// Step 2, at (k + ½)·P: where the excess of the overloaded functions goes.
    pub fn weigh(&mut self, snapshot: &Snapshot) {
        self.follow(snapshot);
        for name in &self.overloaded {
            let Some(peers) = self.table.get_mut(name) else { continue };
            let limit =
                |id: &NodeId| snapshot.peers.get(id).and_then(|p| p.functions.get(name)).map_or(0.0, |f| f.limit_out);
            let sum: f64 = peers.keys().map(limit).sum();
            let total = if sum <= 0.0 { 1.0 } else { sum };
            for (id, entry) in peers.iter_mut() {
                entry.weight = (limit(id) * 100.0 / total) as u32;
            }
        }
    }

    /// The tables that follow from the last step of each kind.
    pub fn outcome(&self, snapshot: &Snapshot) -> FunctionTables {
        names(snapshot).into_iter().map(|name| (name.clone(), self.function_table(snapshot, name))).collect()
    }

    fn function_table(&self, snapshot: &Snapshot, name: &FunctionName) -> FunctionTable {
        let local: Option<&LocalFunction> = snapshot.functions.get(name);
        let runs = |id: &NodeId| snapshot.peers.get(id).and_then(|peer| peer.functions.get(name));
        let entries = self.table.get(name).into_iter().flatten().filter_map(|(id, e)| Some((id, e, runs(id)?)));
        let mut table = FunctionTable {
            deployed: local.is_some(),
            local_limit: local.map_or(Some(0.0), |f| f.max_rate),
            shape: Shape::LocalFirst,
            weights: Weights::default(),
            limits_out: BTreeMap::new(),
            limits_in: BTreeMap::new(),
            timeout: local.and_then(|f| f.timeout),
        };
        for (id, entry, peer) in entries {
            table.limits_in.insert(id.clone(), entry.limit_in as f64);
            table.limits_out.insert(id.clone(), peer.limit_out);
            if entry.weight > 0 {
                table.weights.peers.insert(id.clone(), entry.weight);
            }
        }
        table
    }

    /// Entries of peers and functions that are gone go; new ones start with nothing.
    fn follow(&mut self, snapshot: &Snapshot) {
        self.table.retain(|name, _| snapshot.functions.contains_key(name));
        for name in snapshot.functions.keys() {
            let peers = self.table.entry(name.clone()).or_default();
            let runs = |id: &NodeId| snapshot.peers.get(id).is_some_and(|peer| peer.functions.contains_key(name));
            peers.retain(|id, _| runs(id));
            for id in snapshot.peers.keys().filter(|id| runs(id)) {
                peers.entry(id.clone()).or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{
        PeerFunction, PeerView,
        test_names::{function, node},
    };

    fn snapshot(max: f64, rate: f64, limits_out: &[f64]) -> Snapshot {
        let view = |limit_out: &f64| PeerView {
            functions: [(function("f"), PeerFunction { limit_out: *limit_out, excess: 0.0 })].into(),
            ..PeerView::default()
        };
        Snapshot {
            functions: [(function("f"), LocalFunction { max_rate: Some(max), rate, timeout: None })].into(),
            peers: limits_out.iter().enumerate().map(|(i, l)| (node(i as u8), view(l))).collect(),
        }
    }

    /// Appendix A of the reference.
    #[test]
    fn whole_numbers_and_equal_parts() {
        let mut compat = Compat::default();
        compat.grant(&snapshot(100.0, 30.7, &[0.0, 0.0]));
        assert_eq!(compat.entry(&function("f"), &node(0)), Entry { limit_in: 35, weight: 0 });
        let busy = snapshot(100.0, 140.0, &[35.0, 10.0]);
        compat.grant(&busy);
        assert_eq!(compat.entry(&function("f"), &node(1)).limit_in, 0);
        compat.weigh(&busy);
        assert_eq!([0, 1].map(|n| compat.entry(&function("f"), &node(n)).weight), [77, 22]);
    }

    #[test]
    fn weights_stay_until_the_next_step_of_their_kind() {
        let mut compat = Compat::default();
        compat.grant(&snapshot(10.0, 50.0, &[20.0]));
        compat.weigh(&snapshot(10.0, 50.0, &[20.0]));
        compat.grant(&snapshot(10.0, 50.0, &[0.0]));
        assert_eq!(
            compat.outcome(&snapshot(10.0, 50.0, &[0.0]))[&function("f")].weights.peers,
            [(node(0), 100)].into()
        );
        compat.weigh(&snapshot(10.0, 50.0, &[0.0]));
        assert!(compat.outcome(&snapshot(10.0, 50.0, &[0.0]))[&function("f")].weights.peers.is_empty());
    }

    #[test]
    fn a_lost_peer_leaves_the_table_at_once() {
        let mut compat = Compat::default();
        compat.grant(&snapshot(10.0, 50.0, &[20.0, 20.0]));
        compat.weigh(&snapshot(10.0, 50.0, &[20.0, 20.0]));
        let outcome = compat.outcome(&snapshot(10.0, 50.0, &[20.0]));
        assert_eq!(outcome[&function("f")].weights.peers, [(node(0), 50)].into());
    }

    /// B8.
    #[test]
    fn a_function_without_a_limit_does_not_stop_the_others() {
        let mut state = snapshot(10.0, 0.0, &[0.0]);
        state.functions.insert(function("g"), LocalFunction { max_rate: None, rate: 99.0, timeout: None });
        let mut compat = Compat::default();
        compat.grant(&state);
        assert_eq!(compat.entry(&function("f"), &node(0)).limit_in, 10);
    }
}
