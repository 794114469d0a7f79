//! The layout of 2021: an instance that carries the metrics of every node and minute, so that nothing is looked up.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use super::{
    instance::{Instance, Node, neighbours},
    measured::Measurements,
    minute::minute_of,
};
use crate::{
    field::{Document, Field},
    replayed::NodeMetrics,
};
use dfaas_agent::name::FunctionName;

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

/// Measurements of an instance in this layout that lies beside another file: a converted instance has its own there.
pub fn beside(file: &Path) -> Option<Measurements> {
    let sibling = file.parent()?.join("instance.json");
    let document = Document::read(&sibling).ok().filter(|document| recognise(&document.root()))?;
    read(&document).ok().map(|(_, measurements)| measurements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(other: &str) -> Value {
        let minute = |rate: u32| {
            let function = json!({
                "name": "funcb", "service_count": 2, "margin": 6, "invoc_rate": rate, "afet": 0.1, "ram_xfunc": 0.001_234_567,
                "cpu_xfunc": 0.2, "max_rate": 6, "state": "Underload", "prom_invoc_rate": 1.5,
            });
            json!({"ram_usage": 0.403_325_8, "cpu_usage": 0.2, "functions": [function]})
        };
        json!({"funcb_num": 2, "node_type": "node_1", "neighbours": [other], "exp_history": [minute(0), minute(2)]})
    }

    fn written() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let instance = json!({"seed": 3, "nodes_number": 2, "a": node("b"), "b": node("a")});
        std::fs::write(folder.path().join("instance.json"), instance.to_string()).unwrap();
        folder
    }

    #[test]
    fn metrics_are_taken_as_they_stand_and_old_names_are_understood() {
        let folder = written();
        let mut measurements = Measurements::default();
        let instance = Instance::read(&folder.path().join("instance.json"), &mut measurements).unwrap();
        let found = &measurements.look_up(&instance).unwrap()[1][0];
        let function = &found.functions[&"qrcode".parse().unwrap()];
        assert_eq!((found.ram_usage, function.ram_share, function.rate), (0.403_325_8, 0.001_234_567, 2.0));
        assert_eq!(instance.nodes[0].replicas, [("qrcode".parse().unwrap(), 2)].into());
    }

    #[test]
    fn a_converted_instance_finds_its_measurements_beside_itself() {
        let folder = written();
        let (instance, _) = read(&Document::read(&folder.path().join("instance.json")).unwrap()).unwrap();
        let converted = folder.path().join("converted.json");
        std::fs::write(&converted, instance.to_json().to_string()).unwrap();
        let mut none = Measurements::default();
        let instance = Instance::read(&converted, &mut none).unwrap();
        assert!(none.look_up(&instance).is_err());
        assert!(beside(&converted).unwrap().look_up(&instance).is_ok());
    }
}
