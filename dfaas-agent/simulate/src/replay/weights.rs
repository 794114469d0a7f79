//! The shares that do not depend on chance, in the layout of the original's recorded ones.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    choice::{Choice, shares},
    instance::Instance,
    measured::Minutes,
};
use crate::replayed::{LocalView, NodeMetrics, Rule};
use dfaas_agent::name::FunctionName;

/// Strategy, minute, node, overloaded function, neighbour: percent. Strategies that forward nothing or by chance alone, and
/// those of the live agent, are left out.
pub fn weights(instance: &Instance, minutes: &Minutes, choices: &[Choice]) -> Value {
    let mut by_strategy = Map::new();
    for choice in choices {
        let Choice::Rule(rule @ (Rule::StaticShare | Rule::Empirical)) = *choice else { continue };
        // What chance adds afterwards is not in the file, so the name says that it is to come.
        let name = if rule == Rule::Empirical { "empirical_strategy_before_noise" } else { choice.name() };
        let by_minute =
            minutes.iter().enumerate().map(|(i, minute)| (i.to_string(), of_minute(instance, minute, rule)));
        by_strategy.insert(name.to_owned(), Value::Object(by_minute.collect()));
    }
    Value::Object(by_strategy)
}

fn of_minute(instance: &Instance, minute: &[NodeMetrics], rule: Rule) -> Value {
    let certain =
        |view: &LocalView<'_>, function: &FunctionName| rule.certain_shares(view, function).unwrap_or_default();
    let decided = shares(instance, minute, certain, |by_node| by_node);
    let mut by_node = Map::new();
    for (node, functions) in instance.nodes.iter().zip(decided) {
        let peers = |shares: BTreeMap<usize, f64>| -> Value {
            shares
                .into_iter()
                .map(|(peer, percent)| (instance.nodes[peer].name.clone(), Value::from(percent)))
                .collect()
        };
        let functions = functions.into_iter().map(|(name, shares)| (name.to_string(), peers(shares))).collect();
        by_node.insert(node.name.clone(), functions);
    }
    Value::Object(by_node)
}
