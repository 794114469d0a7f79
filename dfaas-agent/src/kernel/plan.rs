//! A decision as map contents: pure.

use std::{collections::BTreeMap, time::Duration};

use dfaas_common::{
    http::NAME_LEN,
    limit::{self, Limit},
    peer::MAX_PEERS,
    route::{LOCAL_FIRST, Route, SLOT_LOCAL, SLOT_PROXY, SLOT_REFUSE, WEIGHTED, fill_slots},
};

use crate::{
    decision::{FunctionTable, Shape},
    name::{FunctionName, NodeId},
};

/// Least burst. The programs read a clock that moves in ticks of up to 10 ms (CONFIG_HZ 100): with less than a tick, calls
/// that are within the limit would be refused. Twice, because peers may use half.
const LEAST_BURST: Duration = Duration::from_millis(20);

/// The routing table of one function. `kept` is what it serves on kept-alive connections, calls per second: HAProxy
/// counts those, so they are taken off the kernel's limit. What is for peers without a number goes to HAProxy, which
/// knows them.
pub(crate) fn route(
    name: &FunctionName,
    table: &FunctionTable,
    function: u32,
    version: u32,
    numbers: &BTreeMap<NodeId, u32>,
    kept: f64,
    burst: Duration,
) -> Route {
    let burst_ns = burst.max(LEAST_BURST).as_nanos() as u64;
    let limit = table.local_limit.map(|limit| (limit - kept).max(0.0));
    let numbered = |map: &BTreeMap<NodeId, f64>| -> Vec<(usize, f64)> {
        map.iter().filter_map(|(id, rate)| Some((*numbers.get(id)? as usize, *rate))).collect()
    };
    let unlimited_out = table.shape == Shape::Weighted && table.limits_out.is_empty();
    let mut out_interval_ns = [if unlimited_out { limit::OPEN } else { limit::CLOSED }; MAX_PEERS];
    let mut in_interval_ns = [limit::CLOSED; MAX_PEERS];
    for (number, rate) in numbered(&table.limits_out) {
        out_interval_ns[number] = limit::interval(rate);
    }
    for (number, rate) in numbered(&table.limits_in) {
        in_interval_ns[number] = limit::interval(rate * limit::TOLERANCE);
    }
    let slot = |id| numbers.get(id).map_or(SLOT_PROXY, |number| *number as u8);
    let mut targets: Vec<(u8, u32)> = table.weights.peers.iter().map(|(id, weight)| (slot(id), *weight)).collect();
    if table.shape == Shape::Weighted {
        targets.push((SLOT_LOCAL, table.weights.local));
        targets.push((SLOT_REFUSE, table.weights.reject));
    }
    Route {
        function,
        version,
        shape: if table.shape == Shape::LocalFirst { LOCAL_FIRST } else { WEIGHTED },
        deployed: table.deployed.into(),
        local: limit.map_or(Limit::OPEN, |rate| Limit::sharing(limit::interval(rate), burst_ns)),
        out_burst_ns: burst_ns,
        in_burst_ns: 2 * burst_ns,
        out_interval_ns,
        in_interval_ns,
        name: text(name),
        slots: fill_slots(&targets),
    }
}

/// The name for those who read the map.
fn text(name: &FunctionName) -> [i8; NAME_LEN] {
    let mut text = [0; NAME_LEN];
    for (to, from) in text.iter_mut().zip(name.as_str().bytes()) {
        *to = from.cast_signed();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decision::Weights,
        strategy::test_names::{function, node},
    };

    const BURST: Duration = Duration::from_millis(200);

    fn table() -> FunctionTable {
        FunctionTable {
            deployed: true,
            local_limit: Some(10.0),
            shape: Shape::LocalFirst,
            weights: Weights { local: 0, reject: 0, peers: [(node(1), 40), (node(2), 60)].into() },
            limits_out: [(node(1), 20.0), (node(2), 30.0)].into(),
            limits_in: [(node(1), 5.0)].into(),
            timeout: None,
        }
    }

    fn count(route: &Route, target: u8) -> usize {
        route.slots.iter().filter(|slot| **slot == target).count()
    }

    /// Calls at exactly the limit, by a clock of 100 ticks a second.
    #[test]
    fn the_least_burst_bridges_a_tick_of_the_clock() {
        let table = FunctionTable { local_limit: Some(1000.0), ..table() };
        let route = route(&function("f"), &table, 0, 1, &BTreeMap::new(), 0.0, Duration::ZERO);
        let tick = 10_000_000;
        for ahead_ns in [route.local.burst_ns, route.local.burst_ns / 2] {
            let mut tat = 0;
            let calls = (1..=5000u64).map(|call| call * 1_000_000 / tick * tick);
            let refused = calls.filter(|now| {
                let answer = limit::admit(tat, *now, route.local, ahead_ns);
                tat = answer.unwrap_or_else(|kept| kept);
                answer.is_err()
            });
            assert_eq!(refused.count(), 0, "{ahead_ns} ns");
        }
    }

    #[test]
    fn limits_and_weights_land_at_the_peers_numbers() {
        let numbers = [(node(1), 7), (node(2), 3)].into();
        let route = route(&function("f"), &table(), 4, 9, &numbers, 0.0, BURST);
        assert_eq!((route.function, route.version, route.shape, route.deployed), (4, 9, LOCAL_FIRST, 1));
        assert_eq!(route.local, Limit { interval_ns: 100_000_000, burst_ns: 200_000_000 });
        assert_eq!((route.out_interval_ns[7], route.out_interval_ns[3]), (50_000_000, 33_333_333));
        assert_eq!((route.out_burst_ns, route.in_burst_ns), (200_000_000, 400_000_000));
        assert_eq!(route.out_interval_ns[0], limit::CLOSED);
        assert_eq!(route.in_interval_ns[7], limit::interval(5.25));
        assert_eq!(route.in_interval_ns[3], limit::CLOSED);
        assert_eq!((count(&route, 7), count(&route, 3)), (102, 154));
    }

    #[test]
    fn the_share_of_a_peer_without_a_number_is_haproxys() {
        let route = route(&function("f"), &table(), 0, 1, &[(node(2), 3)].into(), 0.0, BURST);
        assert_eq!((count(&route, 3), count(&route, SLOT_PROXY)), (154, 102));
    }

    #[test]
    fn no_peer_means_refusal() {
        let alone = FunctionTable { weights: Weights::default(), limits_out: BTreeMap::new(), ..table() };
        let route = route(&function("f"), &alone, 0, 1, &BTreeMap::new(), 0.0, BURST);
        assert_eq!(count(&route, SLOT_REFUSE), 256);
    }

    #[test]
    fn calls_on_kept_alive_connections_use_up_the_limit() {
        assert_eq!(
            route(&function("f"), &table(), 0, 1, &BTreeMap::new(), 4.0, BURST).local.interval_ns,
            limit::interval(6.0)
        );
        assert_eq!(
            route(&function("f"), &table(), 0, 1, &BTreeMap::new(), 14.0, BURST).local.interval_ns,
            limit::CLOSED
        );
    }

    #[test]
    fn a_weighted_table_has_slots_for_this_node_and_for_refusal() {
        let mut table = table();
        table.shape = Shape::Weighted;
        table.local_limit = None;
        table.weights = Weights { local: 2, reject: 1, peers: [(node(1), 1)].into() };
        let route = route(&function("f"), &table, 0, 1, &[(node(1), 0)].into(), 0.0, BURST);
        assert_eq!((count(&route, SLOT_LOCAL), count(&route, SLOT_REFUSE), count(&route, 0)), (128, 64, 64));
        assert_eq!(route.local, Limit::OPEN);
    }
}
