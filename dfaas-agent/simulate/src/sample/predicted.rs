//! Loads of groups of functions, for what works with predictions.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// A node of the instance: type, neighbours, and the largest rate of each function.
type Node = (&'static str, &'static [&'static str], &'static [(&'static str, &'static [(&'static str, u32)])]);

/// The first has more than it can bear, the others have room.
const NODES: [Node; 3] = [
    (
        "LIGHT",
        &["node_1", "node_2"],
        &[("HIGH_USAGE", &[("nmap", 36)]), ("LOW_USAGE", &[("env", 90), ("figlet", 150)])],
    ),
    ("HEAVY", &["node_0", "node_2"], &[("HIGH_USAGE", &[("nmap", 8)]), ("LOW_USAGE", &[("figlet", 60)])]),
    ("MID", &["node_0", "node_1"], &[("LOW_USAGE", &[("env", 40), ("figlet", 30)]), ("MEDIUM_USAGE", &[("curl", 25)])]),
];

/// Share of the largest rate in each minute, in eighths.
const SHAPE: [u32; 7] = [1, 3, 6, 8, 6, 3, 1];

pub(super) fn instance() -> Value {
    let mut instance = Map::new();
    instance.insert("seed".to_owned(), json!(1));
    instance.insert("nodes_number".to_owned(), json!(NODES.len()));
    instance.insert("edge_prob".to_owned(), json!(1.0));
    instance.insert("overloaded_perc".to_owned(), json!(30.0));
    for (number, (node_type, neighbours, groups)) in NODES.into_iter().enumerate() {
        let load: Vec<Value> = SHAPE.iter().map(|eighths| minute(groups, *eighths)).collect();
        let node = json!({"node_type": node_type, "neighbours": neighbours, "load": load});
        instance.insert(format!("node_{number}"), node);
    }
    Value::Object(instance)
}

fn minute(groups: &[(&str, &[(&str, u32)])], eighths: u32) -> Value {
    let group = |(name, functions): &(&str, &[(&str, u32)])| {
        let rates = functions.iter().map(|(function, most)| (*function, most * eighths / 8));
        let listed: Vec<Value> =
            rates.clone().map(|(name, rate)| json!({"function_name": name, "function_rate": rate})).collect();
        ((*name).to_owned(), json!({"functions": listed, "total_rate": rates.map(|(_, rate)| rate).sum::<u32>()}))
    };
    Value::Object(groups.iter().map(group).collect())
}

/// From idle to beyond what a node can bear, for each type.
pub(super) fn loads() -> String {
    let mut text = "rate_group_HIGH_USAGE,rate_group_LOW_USAGE,rate_group_MEDIUM_USAGE,node_type\n".to_owned();
    for node_type in 0..3 {
        for step in 0..=8 {
            let _ = writeln!(text, "{},{},{},{node_type}", step * 10, step * 60, step * 20);
        }
    }
    text
}
