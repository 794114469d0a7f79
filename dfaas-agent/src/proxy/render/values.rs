//! What may change without a reload: map entries and server weights.

use std::collections::BTreeMap;

use super::peers;
use crate::{
    decision::{Decision, FunctionTable, Shape},
    name::{FunctionName, NodeId},
    proxy::{
        settings::ProxySettings,
        tables::{NO_LIMIT, NOT_DEPLOYED, SLOTS},
    },
};

/// Whether a function may go to peers at all.
pub(in crate::proxy) const PEERS_USABLE: &str = "peers_usable.map";

/// HAProxy's largest server weight.
const WEIGHT_MAX: u32 = 256;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Entries of each map file.
    pub maps: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Weight of each peer's server in the backend of each function.
    pub weights: BTreeMap<(FunctionName, NodeId), u32>,
}

impl Values {
    pub(super) fn new(settings: &ProxySettings, decision: &Decision) -> Self {
        let mut values = Self::default();
        for map in [
            "local_below.map",
            "local_limit.map",
            "peer_address.map",
            "peer_limit.map",
            PEERS_USABLE,
            "reject_below.map",
        ] {
            values.maps.insert(map, BTreeMap::new());
        }
        if settings.handoff.is_some() {
            values.maps.insert("peer_alias.map", BTreeMap::new());
        }
        if !decision.functions.is_empty() && peers(settings, decision).next().is_some() {
            values.maps.insert("peer_host.map", BTreeMap::new());
        }
        for (function, table) in &decision.functions {
            values.add_function(settings, decision, function, table);
        }
        for (id, peer) in peers(settings, decision) {
            values.put("peer_host.map", id.to_string(), peer.host.to_string());
            for address in &peer.addresses {
                values.put("peer_address.map", format!("{id}@{address}"), "1".to_owned());
            }
            if let Some(alias) = peer.alias {
                values.put("peer_alias.map", alias.to_string(), id.to_string());
            }
        }
        values
    }

    pub(super) fn weight(&self, function: &FunctionName, peer: &NodeId) -> u32 {
        self.weights.get(&(function.clone(), peer.clone())).copied().unwrap_or(0)
    }

    /// False: the servers of this function are out of use, whatever their weights.
    pub(in crate::proxy) fn peers_usable(&self, function: &FunctionName) -> bool {
        self.maps.get(PEERS_USABLE).and_then(|map| map.get(function.as_str())).is_some_and(|usable| usable == "1")
    }

    fn put(&mut self, map: &'static str, key: String, value: String) {
        if let Some(entries) = self.maps.get_mut(map) {
            entries.insert(key, value);
        }
    }

    fn add_function(
        &mut self,
        settings: &ProxySettings,
        decision: &Decision,
        function: &FunctionName,
        table: &FunctionTable,
    ) {
        let local_limit = match table.local_limit {
            _ if !table.deployed => NOT_DEPLOYED,
            None => NO_LIMIT,
            Some(limit) => whole_limit(limit),
        };
        self.put("local_limit.map", function.to_string(), local_limit.to_string());

        let usable: BTreeMap<&NodeId, u32> =
            peers(settings, decision).map(|(id, _)| (id, usable_weight(table, id))).collect();
        let heaviest = usable.values().copied().max().unwrap_or(0);
        for (id, weight) in &usable {
            // Where the map says no, the servers keep a weight: a call that was about to be sent finds one.
            let weight = if heaviest == 0 { 1 } else { scaled(*weight, heaviest) };
            self.weights.insert((function.clone(), (*id).clone()), weight);
            if let Some(limit) = table.limits_in.get(*id) {
                self.put("peer_limit.map", format!("{function},{id}"), whole_limit(*limit).to_string());
            }
        }
        let peers_weight = usable.values().map(|weight| u64::from(*weight)).sum();
        let (reject_below, local_below) = shares(table, peers_weight);
        self.put(PEERS_USABLE, function.to_string(), u8::from(heaviest > 0).to_string());
        self.put("reject_below.map", function.to_string(), reject_below.to_string());
        self.put("local_below.map", function.to_string(), local_below.to_string());
    }
}

/// A peer that grants nothing gets nothing, whatever its weight.
fn usable_weight(table: &FunctionTable, peer: &NodeId) -> u32 {
    let granted = table.limits_out.get(peer).is_some_and(|limit| *limit > 0.0);
    if granted { table.weights.peers.get(peer).copied().unwrap_or(0) } else { 0 }
}

/// The slots below the first number are refused, those below the second are for this node, the rest for peers.
fn shares(table: &FunctionTable, peers: u64) -> (u64, u64) {
    if table.shape == Shape::LocalFirst {
        return (0, SLOTS);
    }
    let (local, reject) = (u64::from(table.weights.local), u64::from(table.weights.reject));
    let total = local + reject + peers;
    if total == 0 {
        return (SLOTS, SLOTS);
    }
    let slots = |part: u64| (part * SLOTS + total / 2) / total;
    (slots(reject), slots(reject + local))
}

/// HAProxy counts whole calls and admits while the count is below the limit, so 2.5 admits as 3 does.
fn whole_limit(limit: f64) -> i64 {
    // A NaN becomes 0: it admits nothing.
    (limit.ceil() as i64).clamp(0, NO_LIMIT)
}

fn scaled(weight: u32, heaviest: u32) -> u32 {
    if weight == 0 || heaviest <= WEIGHT_MAX {
        return weight;
    }
    let share = u64::from(weight) * u64::from(WEIGHT_MAX) / u64::from(heaviest);
    (share as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(local: u32, reject: u32) -> FunctionTable {
        FunctionTable {
            deployed: true,
            local_limit: None,
            shape: Shape::Weighted,
            weights: crate::decision::Weights { local, reject, peers: BTreeMap::new() },
            limits_out: BTreeMap::new(),
            limits_in: BTreeMap::new(),
            timeout: None,
        }
    }

    #[test]
    fn shares_follow_the_weights_and_no_weight_at_all_refuses() {
        assert_eq!(shares(&weighted(50, 20), 30), (2_000, 7_000));
        assert_eq!(shares(&weighted(1, 0), 2), (0, 3_333));
        assert_eq!(shares(&weighted(0, 0), 5), (0, 0));
        assert_eq!(shares(&weighted(0, 0), 0), (SLOTS, SLOTS));
        assert_eq!(shares(&weighted(u32::MAX, u32::MAX), 0), (5_000, SLOTS));
        assert_eq!(shares(&FunctionTable { shape: Shape::LocalFirst, ..weighted(0, 0) }, 5), (0, SLOTS));
    }

    #[test]
    fn limits_are_whole_and_never_negative() {
        for (limit, whole) in [(0.0, 0), (0.2, 1), (2.0, 2), (-3.0, 0), (f64::NAN, 0), (f64::INFINITY, NO_LIMIT)] {
            assert_eq!(whole_limit(limit), whole, "{limit}");
        }
    }

    #[test]
    fn large_weights_are_scaled_and_none_is_lost() {
        assert_eq!(scaled(200, 256), 200);
        assert_eq!(scaled(1_000_000, 1_000_000), 256);
        assert_eq!(scaled(500_000, 1_000_000), 128);
        assert_eq!(scaled(1, u32::MAX), 1);
        assert_eq!(scaled(0, u32::MAX), 0);
    }

    #[test]
    fn the_slot_sequence_visits_every_slot_and_is_even_over_a_hundred_calls() {
        use crate::proxy::tables::SLOT_STEP;
        let slot = |call: u64| call * SLOT_STEP % SLOTS;
        let all: std::collections::BTreeSet<u64> = (0..SLOTS).map(slot).collect();
        assert_eq!(all.len() as u64, SLOTS);
        for start in 0..500 {
            let below = (start..start + 100).filter(|call| slot(*call) < SLOTS / 4).count();
            assert!((23..=27).contains(&below), "{below} of 100 calls from {start}");
        }
    }
}
