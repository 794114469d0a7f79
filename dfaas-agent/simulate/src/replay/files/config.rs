//! What the nodes knew and what each of them decided.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{create, write_json, write_text};
use crate::{
    replay::{
        Experiment,
        instance::{Instance, number},
        measured::Minutes,
        traffic::Routing,
    },
    replayed::{FunctionMetrics, NodeMetrics},
};
use dfaas_agent::name::FunctionName;

/// `config0.json` and so on: the metrics of each minute.
pub(super) fn write(folder: &Path, instance: &Instance, minutes: &Minutes) -> Result<()> {
    create(folder)?;
    for (i, minute) in minutes.iter().enumerate() {
        let mut config = Map::new();
        for (node, metrics) in instance.nodes.iter().zip(minute) {
            config.insert(node.name.clone(), node_config(&node.rates[i], metrics));
        }
        write_json(&folder.join(format!("config{i}.json")), &Value::Object(config))?;
    }
    Ok(())
}

fn node_config(rates: &[(FunctionName, f64)], metrics: &NodeMetrics) -> Value {
    let function = |(name, rate): &(FunctionName, f64)| match metrics.functions.get(name) {
        Some(measured) => function_config(name, measured),
        None => json!({"name": name, "invoc_rate": number(*rate)}),
    };
    let functions: Vec<Value> = rates.iter().map(function).collect();
    json!({"functions": functions, "cpu_usage": metrics.cpu_usage, "ram_usage": metrics.ram_usage})
}

fn function_config(name: &FunctionName, metrics: &FunctionMetrics) -> Value {
    json!({
        "name": name,
        "invoc_rate": number(metrics.rate),
        "afet": metrics.execution_s,
        "cpu_xfunc": metrics.cpu_share,
        "prom_invoc_rate": metrics.observed_rate,
        "ram_xfunc": metrics.ram_share,
        "service_count": metrics.replicas,
        "margin": number(metrics.margin),
        "state": if metrics.overloaded { "Overload" } else { "Underload" },
        "max_rate": number(metrics.max_rate),
    })
}

/// One log for each node: every decision that gave something away, of the last repetition.
pub(super) fn write_logs(folder: &Path, instance: &Instance, experiment: &Experiment) -> Result<()> {
    create(folder)?;
    for (number, node) in instance.nodes.iter().enumerate() {
        let mut text = String::new();
        for result in &experiment.results {
            for (i, minute) in result.last.iter().enumerate() {
                for (function, routing) in &minute.routes[number] {
                    let shares = shares(instance, routing);
                    let _ = writeln!(text, "{} minute {i} {function}: {shares}", result.choice.name());
                }
            }
        }
        write_text(&folder.join(format!("{}.log", node.name)), &text)?;
    }
    Ok(())
}

fn shares(instance: &Instance, routing: &Routing) -> String {
    let listed = |peers: &std::collections::BTreeMap<usize, f64>| {
        let share = |(peer, share): (&usize, &f64)| format!("{} {share}", instance.nodes[*peer].name);
        peers.iter().map(share).collect::<Vec<_>>().join(", ")
    };
    match routing {
        Routing::Excess(peers) if peers.values().all(|share| *share == 0.0) => "nothing is forwarded".to_owned(),
        Routing::Excess(peers) => format!("of the excess {}", listed(peers)),
        Routing::Every { local, reject, peers } if peers.is_empty() => format!("here {local}, refused {reject}"),
        Routing::Every { local, reject, peers } => format!("here {local}, refused {reject}, {}", listed(peers)),
    }
}
