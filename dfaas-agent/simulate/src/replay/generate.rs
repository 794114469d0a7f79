//! Random instances: nodes that repeat measured runs, in a random connected graph.

use anyhow::Result;
use rand::{
    SeedableRng as _,
    distr::{Distribution as _, weighted::WeightedIndex},
    rngs::StdRng,
    seq::IndexedRandom as _,
};

use super::{
    instance::{Instance, Node},
    measured::{FUNCTIONS, Measurements, Run},
};
use crate::graph::Graph;
use dfaas_base::BadInput;

/// How often each type of node is drawn, as in the original.
const NODE_TYPES: [(&str, f64); 3] = [("node_1", 0.5), ("node_2", 0.3), ("node_3", 0.2)];

pub const MAX_NODES: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceSpec {
    pub nodes: usize,
    pub edge_probability: f64,
    pub seed: u64,
}

pub fn generate(plan: InstanceSpec, measurements: &Measurements) -> Result<Instance> {
    if !(1..=MAX_NODES).contains(&plan.nodes) {
        return Err(BadInput(format!("--nodes is {}, expected 1 to {MAX_NODES}", plan.nodes)).into());
    }
    if !(0.0..=1.0).contains(&plan.edge_probability) {
        let given = plan.edge_probability;
        return Err(BadInput(format!("--edge-probability is {given}, expected a number from 0 to 1")).into());
    }
    let minutes = measurements.runs.first().map_or(0, |run| run.rates.len());
    if minutes < 2 || measurements.runs.iter().any(|run| run.rates.len() != minutes) {
        let expected = "expected runs of the same number of minutes, 2 or more";
        return Err(BadInput(format!("--data: runs of different or no length, {expected}")).into());
    }
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let graph = Graph::random(plan.nodes, plan.edge_probability, &mut rng);
    let by_type: Vec<(&str, Vec<&Run>, f64)> = NODE_TYPES
        .iter()
        .map(|(name, weight)| (*name, measurements.runs.iter().filter(|run| run.node_type == *name).collect(), *weight))
        .filter(|(_, runs, _): &(_, Vec<&Run>, _)| !runs.is_empty())
        .collect();
    let types = WeightedIndex::new(by_type.iter().map(|(.., weight)| *weight))
        .map_err(|_| BadInput("--data: no run of node_1, node_2 or node_3, expected one to draw from".to_owned()))?;
    // Names sort as the original's do: node_10 before node_2.
    let mut order: Vec<usize> = (0..plan.nodes).collect();
    order.sort_by_key(|n| name(*n));
    let mut place = vec![0; plan.nodes];
    for (position, n) in order.iter().enumerate() {
        place[*n] = position;
    }
    let mut node = |n: usize| {
        let (node_type, runs, _) = &by_type[types.sample(&mut rng)];
        let run = runs.choose(&mut rng)?;
        let neighbours = graph.neighbours(n).iter().map(|other| place[*other]).collect();
        Some(from_run(n, node_type, run, neighbours))
    };
    let mut nodes: Vec<Node> = (0..plan.nodes).filter_map(&mut node).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let source = format!("instance of seed {}", plan.seed);
    Ok(Instance { source, seed: plan.seed, edge_probability: plan.edge_probability, nodes })
}

fn name(n: usize) -> String {
    format!("node_{n}")
}

fn from_run(n: usize, node_type: &str, run: &Run, neighbours: Vec<usize>) -> Node {
    let mut replicas = run.replicas.clone();
    for function in FUNCTIONS {
        if let Ok(function) = function.parse() {
            replicas.entry(function).or_insert(0);
        }
    }
    Node { name: name(n), node_type: node_type.to_owned(), replicas, neighbours, rates: run.rates.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replayed::{FunctionMetrics, NodeMetrics};

    fn measurements() -> Measurements {
        let funca: dfaas_agent::name::FunctionName = "funca".parse().unwrap();
        let mut measurements = Measurements::default();
        for (node_type, rate) in [("node_1", 3.0), ("node_1", 4.0), ("node_2", 5.0), ("node_3", 6.0)] {
            let f = FunctionMetrics { replicas: 1, rate, max_rate: 30.0, ..FunctionMetrics::default() };
            let metrics = NodeMetrics { functions: [(funca.clone(), f)].into(), ..NodeMetrics::default() };
            let rates = vec![vec![(funca.clone(), rate)]; 2];
            let run = Run { node_type: node_type.to_owned(), replicas: [(funca.clone(), 1)].into(), rates };
            measurements.add_run(run, vec![metrics; 2]);
        }
        measurements
    }

    #[test]
    fn a_generated_instance_holds_only_what_was_measured() {
        let plan = InstanceSpec { nodes: 200, edge_probability: 0.05, seed: 7 };
        let instance = generate(plan, &measurements()).unwrap();
        assert_eq!(measurements().look_up(&instance).unwrap()[1].len(), 200);
        for (place, node) in instance.nodes.iter().enumerate() {
            for other in &node.neighbours {
                assert!(instance.nodes[*other].neighbours.contains(&place), "{} and {other}", node.name);
            }
        }
        // Half, three tenths, two tenths of 200, each within five standard deviations.
        for (node_type, expected) in [("node_1", 100.0), ("node_2", 60.0), ("node_3", 40.0)] {
            let drawn = instance.nodes.iter().filter(|node| node.node_type == node_type).count() as f64;
            assert!((drawn - expected).abs() < 36.0, "{drawn} of {node_type}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_instance() {
        let plan = |seed| InstanceSpec { nodes: 12, edge_probability: 0.3, seed };
        assert_eq!(generate(plan(1), &measurements()).unwrap(), generate(plan(1), &measurements()).unwrap());
        assert_ne!(generate(plan(1), &measurements()).unwrap(), generate(plan(2), &measurements()).unwrap());
    }

    #[test]
    fn impossible_plans_are_refused() {
        for (nodes, p) in [(0, 0.3), (MAX_NODES + 1, 0.3), (5, f64::NAN)] {
            let refused = generate(InstanceSpec { nodes, edge_probability: p, seed: 1 }, &measurements()).unwrap_err();
            assert!(refused.is::<BadInput>(), "{refused}");
        }
        let refused = generate(InstanceSpec { nodes: 5, edge_probability: 0.3, seed: 1 }, &Measurements::default());
        assert!(refused.unwrap_err().to_string().contains("no length"));
    }
}
