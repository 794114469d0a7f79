//! The live agent's strategies on replayed minutes. A minute has two halves, as in the original's agent: first every node
//! grants limits, then each decides with the limits that its neighbours have just granted to it.

use std::collections::BTreeMap;

use super::{Live, Routes};
use crate::{
    replay::{instance::Instance, traffic::Routing},
    replayed::{FunctionMetrics, NodeMetrics},
};
use dfaas_agent::{
    decision::{FunctionTable, Shape},
    name::NodeId,
    strategy::{FunctionTables, Inputs, LocalFunction, PeerFunction, PeerView, Plan, Snapshot, recalc::Compat},
};

pub(super) fn decide(live: Live, instance: &Instance, minute: &[NodeMetrics]) -> Vec<Routes> {
    let ids: Vec<NodeId> = (0..minute.len()).filter_map(node_id).collect();
    let numbers: BTreeMap<&NodeId, usize> = ids.iter().enumerate().map(|(number, id)| (id, number)).collect();
    let snapshots = |granted: &[FunctionTables]| -> Vec<Snapshot> {
        (0..ids.len()).map(|node| snapshot(node, instance, minute, granted, &ids)).collect()
    };
    let mut tables = vec![Compat::default(); ids.len()];
    let before = snapshots(&[]);
    tables.iter_mut().zip(&before).for_each(|(table, snapshot)| table.grant(snapshot));
    let after = snapshots(&live.outcomes(&before, &tables));
    tables.iter_mut().zip(&after).for_each(|(table, snapshot)| table.weigh(snapshot));
    live.outcomes(&after, &tables).iter().map(|outcome| routes(outcome, &numbers)).collect()
}

impl Live {
    fn outcomes(self, snapshots: &[Snapshot], tables: &[Compat]) -> Vec<FunctionTables> {
        let decide = |(snapshot, table): (&Snapshot, &Compat)| {
            let compat = self.original.then_some(table);
            self.strategy.decide(Inputs { snapshot, plan: &Plan::default(), compat })
        };
        snapshots.iter().zip(tables).map(decide).collect()
    }
}

/// A node's number in the form of a peer id, which the strategies' types ask for.
fn node_id(number: usize) -> Option<NodeId> {
    format!("replayed{number:040}").parse().ok()
}

fn snapshot(
    node: usize,
    instance: &Instance,
    minute: &[NodeMetrics],
    granted: &[FunctionTables],
    ids: &[NodeId],
) -> Snapshot {
    let local = |metrics: &FunctionMetrics| LocalFunction {
        max_rate: Some(metrics.max_rate),
        rate: metrics.rate,
        ..LocalFunction::default()
    };
    let peer = |other: &usize| {
        let function = |name: &_, metrics: &FunctionMetrics| PeerFunction {
            limit_out: granted
                .get(*other)
                .and_then(|outcome| outcome.get(name)?.limits_in.get(&ids[node]).copied())
                .unwrap_or(0.0),
            excess: (metrics.rate - metrics.max_rate).max(0.0),
        };
        let functions = minute[*other].functions.iter().map(|(name, f)| (name.clone(), function(name, f))).collect();
        (ids[*other].clone(), PeerView { functions, ..PeerView::default() })
    };
    Snapshot {
        functions: minute[node].functions.iter().map(|(name, metrics)| (name.clone(), local(metrics))).collect(),
        peers: instance.nodes[node].neighbours.iter().map(peer).collect(),
    }
}

fn routes(outcome: &FunctionTables, numbers: &BTreeMap<&NodeId, usize>) -> Routes {
    let routing = |table: &FunctionTable| {
        let peers = table.weights.peers.iter().map(|(id, weight)| (numbers[id], f64::from(*weight))).collect();
        match table.shape {
            Shape::LocalFirst => Routing::Excess(peers),
            Shape::Weighted => {
                Routing::Every { local: table.weights.local.into(), reject: table.weights.reject.into(), peers }
            }
        }
    };
    outcome.iter().map(|(name, table)| (name.clone(), routing(table))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::instance::Node;
    use dfaas_agent::{name::FunctionName, strategy::Strategy};

    fn live(strategy: Strategy) -> Live {
        Live { strategy, original: false }
    }

    /// A line: 0 - 1 - 2.
    fn line(loads: [(f64, f64); 3]) -> (Instance, Vec<NodeMetrics>, FunctionName) {
        let funca: FunctionName = "funca".parse().unwrap();
        let node = |n: usize, neighbours: &[usize]| Node {
            name: format!("node_{n}"),
            node_type: "node_1".to_owned(),
            replicas: BTreeMap::new(),
            neighbours: neighbours.to_vec(),
            rates: Vec::new(),
        };
        let nodes = vec![node(0, &[1]), node(1, &[0, 2]), node(2, &[1])];
        let metrics = |(rate, max_rate): (f64, f64)| NodeMetrics {
            functions: [(
                funca.clone(),
                FunctionMetrics { rate, max_rate, overloaded: rate >= max_rate, ..Default::default() },
            )]
            .into(),
            ..NodeMetrics::default()
        };
        let instance = Instance { source: String::new(), seed: 0, edge_probability: 0.0, nodes };
        (instance, loads.map(metrics).to_vec(), funca)
    }

    #[test]
    fn recalc_sends_the_excess_to_the_neighbours_that_granted_something() {
        let (instance, minute, funca) = line([(5.0, 10.0), (50.0, 10.0), (0.0, 15.0)]);
        let routes = decide(live(Strategy::Recalc), &instance, &minute);
        assert_eq!(routes[1][&funca], Routing::Excess([(0, 25.0), (2, 75.0)].into()));
    }

    #[test]
    fn recalc_knows_only_its_own_neighbours() {
        let (instance, minute, funca) = line([(50.0, 10.0), (20.0, 10.0), (0.0, 100.0)]);
        assert_eq!(decide(live(Strategy::Recalc), &instance, &minute)[0][&funca], Routing::Excess(BTreeMap::new()));
    }

    #[test]
    fn all_local_keeps_every_call() {
        let (instance, minute, funca) = line([(50.0, 10.0), (0.0, 10.0), (0.0, 10.0)]);
        let expected = Routing::Every { local: 100.0, reject: 0.0, peers: BTreeMap::new() };
        assert_eq!(decide(live(Strategy::AllLocal), &instance, &minute)[0][&funca], expected);
    }

    /// 10 and 15 granted, of which the original's agent makes whole percents: 33 and 66 where ours makes 33 and 67.
    #[test]
    fn recalc_of_the_original_computes_with_whole_numbers() {
        let (instance, minute, funca) = line([(5.5, 10.5), (50.0, 10.0), (0.0, 10.0)]);
        let original = Live { strategy: Strategy::Recalc, original: true };
        assert_eq!(decide(original, &instance, &minute)[1][&funca], Routing::Excess([(0, 33.0), (2, 66.0)].into()));
        let ours = decide(live(Strategy::Recalc), &instance, &minute);
        assert_eq!(ours[1][&funca], Routing::Excess([(0, 33.0), (2, 67.0)].into()));
    }

    #[test]
    fn static_gives_two_fifths_away_whatever_the_load() {
        let (instance, minute, funca) = line([(1.0, 10.0), (50.0, 10.0), (0.0, 10.0)]);
        let routes = decide(live(Strategy::Static), &instance, &minute);
        let expected = Routing::Every { local: 60.0, reject: 0.0, peers: [(1, 40.0)].into() };
        assert_eq!(routes[0][&funca], expected);
    }
}
