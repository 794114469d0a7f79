//! The layout of 2021: an instance that carries the metrics of every node and minute, so that nothing is looked up.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    instance::{Instance, Node, neighbours},
    measured::{Measurements, minute_of},
};
use crate::{
    name::FunctionName,
    simulate::field::{Document, Field},
    strategy::replayed::NodeMetrics,
};

/// True for an object with a node whose first minute has more than functions.
pub(super) fn recognise(root: &Field<'_>) -> bool {
    let Ok(entries) = root.entries() else { return false };
    entries.iter().any(|(_, node)| first_minute(node).is_some_and(|minute| minute.find("cpu_usage").is_some()))
}

fn first_minute<'a>(node: &Field<'a>) -> Option<Field<'a>> {
    node.find("exp_history")?.items().ok()?.into_iter().next()
}

pub(super) fn read(document: &Document) -> Result<(Instance, Measurements)> {
    let mut recorded: Vec<Vec<NodeMetrics>> = Vec::new();
    let source = document.file().display().to_string();
    let instance = Instance::with_nodes(&document.root(), source, |name, fields, names| {
        let (mut metrics, mut rates) = (Vec::new(), Vec::new());
        for minute in fields.get("exp_history")?.items()? {
            let (node, offered) = minute_of(&minute)?;
            metrics.push(node);
            rates.push(offered);
        }
        let replicas = replicas(&metrics);
        recorded.push(metrics);
        Ok(Node {
            name: name.to_owned(),
            node_type: fields.get("node_type")?.text()?.to_owned(),
            replicas,
            neighbours: neighbours(name, &fields.get("neighbours")?, names)?,
            rates,
        })
    })?;
    let mut measurements = Measurements::default();
    for (node, minutes) in instance.nodes.iter().zip(recorded) {
        for (minute, metrics) in minutes.into_iter().enumerate() {
            measurements.record(node, minute, metrics);
        }
    }
    Ok((instance, measurements))
}

fn replicas(minutes: &[NodeMetrics]) -> BTreeMap<FunctionName, u32> {
    let functions = minutes.iter().flat_map(|node| &node.functions);
    functions.map(|(name, metrics)| (name.clone(), metrics.replicas)).collect()
}
