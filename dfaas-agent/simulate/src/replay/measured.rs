//! Measured runs: what a virtual node shows in a minute is what was measured on a real one under the same load.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use anyhow::Result;

use super::instance::{Instance, Node};
pub use super::minute::FUNCTIONS;
use crate::replayed::{FunctionMetrics, NodeMetrics};
use dfaas_agent::name::FunctionName;
use dfaas_base::BadInput;

/// The metrics of every node by minute; nodes in the order of the instance.
pub type Minutes = Vec<Vec<NodeMetrics>>;

/// A run as instances are made of it.
#[derive(Clone, Debug)]
pub struct Run {
    pub node_type: String,
    pub replicas: BTreeMap<FunctionName, u32>,
    /// Functions with their rates by minute, in the order of the file.
    pub rates: Vec<Vec<(FunctionName, f64)>>,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// In the order of the files.
    pub runs: Vec<Run>,
    /// Minutes with the same load on the same type of node, of all runs.
    alike: HashMap<Load, Vec<NodeMetrics>>,
    /// Of instances that carry their metrics: node and minute.
    recorded: HashMap<(String, usize), (Load, NodeMetrics)>,
}

/// What decides which measurements fit: the type of node, and name, rate and replicas of each function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Load {
    node_type: String,
    functions: BTreeSet<(FunctionName, u64, u32)>,
}

impl Load {
    fn measured(node_type: &str, metrics: &NodeMetrics) -> Self {
        let functions = metrics.functions.iter().map(|(name, f)| (name.clone(), f.rate.to_bits(), f.replicas));
        Self { node_type: node_type.to_owned(), functions: functions.collect() }
    }

    fn wanted(node: &Node, minute: usize) -> Self {
        let simulated = node.rates[minute].iter().filter(|(name, _)| FUNCTIONS.contains(&name.as_str()));
        let functions =
            simulated.map(|(name, rate)| (name.clone(), rate.to_bits(), node.replicas.get(name).copied().unwrap_or(0)));
        Self { node_type: node.node_type.clone(), functions: functions.collect() }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.node_type)?;
        for (name, rate, replicas) in &self.functions {
            write!(f, ", {name} with {replicas} replicas at {} calls/s", f64::from_bits(*rate))?;
        }
        Ok(())
    }
}

impl Measurements {
    pub(super) fn is_empty(&self) -> bool {
        self.alike.is_empty() && self.recorded.is_empty()
    }

    pub(super) fn add_run(&mut self, run: Run, minutes: Vec<NodeMetrics>) {
        for metrics in minutes {
            self.alike.entry(Load::measured(&run.node_type, &metrics)).or_default().push(metrics);
        }
        self.runs.push(run);
    }

    /// Metrics that belong to one node and minute: they are taken as they are.
    pub fn record(&mut self, node: &Node, minute: usize, metrics: NodeMetrics) {
        let load = Load::measured(&node.node_type, &metrics);
        self.recorded.insert((node.name.clone(), minute), (load, metrics));
    }

    pub fn absorb(&mut self, other: Self) {
        self.runs.extend(other.runs);
        for (load, metrics) in other.alike {
            self.alike.entry(load).or_default().extend(metrics);
        }
        self.recorded.extend(other.recorded);
    }

    /// What every node of an instance shows in every minute.
    pub fn look_up(&self, instance: &Instance) -> Result<Minutes> {
        let minute = |minute| instance.nodes.iter().map(|node| self.look_up_node(instance, node, minute)).collect();
        (0..instance.minutes()).map(minute).collect()
    }

    fn look_up_node(&self, instance: &Instance, node: &Node, minute: usize) -> Result<NodeMetrics> {
        let load = Load::wanted(node, minute);
        if let Some((recorded, metrics)) = self.recorded.get(&(node.name.clone(), minute))
            && *recorded == load
        {
            return Ok(metrics.clone());
        }
        self.alike.get(&load).map(|alike| average(alike)).ok_or_else(|| {
            let place = format!("{}: {}.exp_history[{minute}]", instance.source, node.name);
            BadInput(format!("{place} is {load}, expected a load that was measured (--data)")).into()
        })
    }
}

/// The mean of what varies from one measurement to the next; the rest is of the first.
fn average(alike: &[NodeMetrics]) -> NodeMetrics {
    let mean = |value: &dyn Fn(&NodeMetrics) -> f64| alike.iter().map(value).sum::<f64>() / alike.len() as f64;
    let function = |name: &FunctionName, first: &FunctionMetrics| {
        let mean = |value: fn(&FunctionMetrics) -> f64| mean(&|node| value(&node.functions[name]));
        FunctionMetrics {
            execution_s: mean(|f| f.execution_s),
            ram_share: mean(|f| percent(f.ram_share)),
            cpu_share: mean(|f| percent(f.cpu_share)),
            observed_rate: mean(|f| f.observed_rate),
            ..first.clone()
        }
    };
    NodeMetrics {
        ram_usage: mean(&|node| percent(node.ram_usage)) / 100.0,
        cpu_usage: mean(&|node| percent(node.cpu_usage)) / 100.0,
        functions: alike[0].functions.iter().map(|(name, f)| (name.clone(), function(name, f))).collect(),
    }
}

/// The original keeps fractions as percents with two decimals, and its numbers depend on it.
fn percent(fraction: f64) -> f64 {
    // Through the decimal text, which rounds as the original does; multiplying would round twice.
    format!("{:.2}", fraction * 100.0).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(ram_usage: f64, execution_s: f64) -> NodeMetrics {
        let f = FunctionMetrics { rate: 5.0, max_rate: 30.0, replicas: 2, execution_s, ..FunctionMetrics::default() };
        NodeMetrics { ram_usage, cpu_usage: 0.1, functions: [("funca".parse().unwrap(), f)].into() }
    }

    fn node(rate: f64, replicas: u32) -> Node {
        let funca: FunctionName = "funca".parse().unwrap();
        Node {
            name: "node_0".to_owned(),
            node_type: "node_1".to_owned(),
            replicas: [(funca.clone(), replicas)].into(),
            neighbours: Vec::new(),
            rates: vec![vec![(funca, rate), ("figlet".parse().unwrap(), 3.0)]],
        }
    }

    fn measured() -> Measurements {
        let mut measurements = Measurements::default();
        let run =
            Run { node_type: "node_1".to_owned(), replicas: std::collections::BTreeMap::default(), rates: Vec::new() };
        measurements.add_run(run, vec![metrics(0.123_44, 0.1), metrics(0.123_46, 0.3)]);
        measurements
    }

    fn instance(node: Node) -> Instance {
        Instance { source: "instance.json".to_owned(), seed: 1, edge_probability: 0.3, nodes: vec![node] }
    }

    #[test]
    fn percents_have_two_decimals_and_means_are_taken_of_them() {
        let found = &measured().look_up(&instance(node(5.0, 2))).unwrap()[0][0];
        // 12.34 and 12.35 percent.
        assert!((found.ram_usage - 0.123_45).abs() < 1e-15, "{}", found.ram_usage);
        assert!((found.functions[&"funca".parse().unwrap()].execution_s - 0.2).abs() < 1e-15);
    }

    #[test]
    fn a_load_that_was_never_measured_is_refused_by_node_and_minute() {
        for (rate, replicas) in [(6.0, 2), (5.0, 1)] {
            let error = measured().look_up(&instance(node(rate, replicas))).unwrap_err();
            assert!(error.is::<BadInput>());
            let text = error.to_string();
            assert!(text.contains("instance.json: node_0.exp_history[0] is node_1, funca with"), "{text}");
        }
    }

    #[test]
    fn what_was_recorded_for_a_node_is_not_rounded() {
        let mut measurements = measured();
        measurements.record(&node(5.0, 2), 0, metrics(0.333_333, 0.5));
        let found = measurements.look_up(&instance(node(5.0, 2))).unwrap();
        assert_eq!(found[0][0].ram_usage, 0.333_333);
    }
}
