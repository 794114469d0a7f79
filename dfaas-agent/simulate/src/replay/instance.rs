//! Instances: the nodes of a federation, who is whose neighbour, and the load of every minute.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::minute::{FUNCTIONS, function_name};
use crate::field::Field;
use dfaas_agent::name::FunctionName;

#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The file or the seed it is from, for messages.
    pub source: String,
    pub seed: u64,
    pub edge_probability: f64,
    /// By name.
    pub nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: String,
    pub node_type: String,
    pub replicas: BTreeMap<FunctionName, u32>,
    /// Places in the list of nodes.
    pub neighbours: Vec<usize>,
    /// By minute: each function with its rate, in calls per second.
    pub rates: Vec<Vec<(FunctionName, f64)>>,
}

/// Fields beside the nodes.
const HEAD: [&str; 3] = ["seed", "nodes_number", "edge_prob"];

impl Instance {
    pub(super) fn parse(root: &Field<'_>, source: String) -> Result<Self> {
        Self::with_nodes(root, source, |name, fields, names| {
            Ok(Node {
                name: name.to_owned(),
                node_type: fields.get("node_type")?.text()?.to_owned(),
                replicas: replicas(&fields.get("replicas")?)?,
                neighbours: neighbours(name, &fields.get("neighbours")?, names)?,
                rates: fields.get("exp_history")?.items()?.iter().map(rates).collect::<Result<_>>()?,
            })
        })
    }

    /// What both layouts have in common.
    pub(super) fn with_nodes(
        root: &Field<'_>,
        source: String,
        mut node: impl FnMut(&str, &Field<'_>, &BTreeMap<&str, usize>) -> Result<Node>,
    ) -> Result<Self> {
        let mut entries: Vec<_> = root.entries()?.into_iter().filter(|(key, _)| !HEAD.contains(key)).collect();
        entries.sort_by_key(|(name, _)| *name);
        for (name, entry) in &entries {
            if !valid_name(name) {
                return Err(entry.error("a node whose name has 1 to 63 letters, digits, '-' or '_'"));
            }
        }
        let names: BTreeMap<&str, usize> =
            entries.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
        let mut nodes: Vec<Node> = Vec::new();
        for (name, entry) in &entries {
            let node = node(name, entry, &names)?;
            let minutes = nodes.first().map_or(node.rates.len(), |first: &Node| first.rates.len());
            if node.rates.len() != minutes || minutes < 2 {
                let expected = if minutes < 2 { "2 minutes or more" } else { "as many minutes as the first node" };
                return Err(entry.get("exp_history")?.error(&format!("{expected} ({minutes})")));
            }
            nodes.push(node);
        }
        let count = root.find("nodes_number").unwrap_or_else(|| root.clone());
        if nodes.is_empty() || (count.is_number() && count.whole()? as usize != nodes.len()) {
            return Err(count.error(&format!("the number of nodes that follow ({})", nodes.len())));
        }
        Ok(Self {
            source,
            seed: root.find("seed").map_or(Ok(0), |seed| seed.whole())?.into(),
            edge_probability: root.find("edge_prob").map_or(Ok(0.0), |p| p.number())?,
            nodes,
        })
    }

    pub fn minutes(&self) -> usize {
        self.nodes.first().map_or(0, |node| node.rates.len())
    }

    /// In the new layout.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("seed".to_owned(), json!(self.seed));
        map.insert("nodes_number".to_owned(), json!(self.nodes.len()));
        map.insert("edge_prob".to_owned(), json!(self.edge_probability));
        for node in &self.nodes {
            let neighbours: Vec<&str> = node.neighbours.iter().map(|place| self.nodes[*place].name.as_str()).collect();
            let minute = |rates: &Vec<(FunctionName, f64)>| {
                let function = |(name, rate): &(FunctionName, f64)| json!({"name": name, "invoc_rate": number(*rate)});
                json!({"functions": rates.iter().map(function).collect::<Vec<_>>()})
            };
            let fields = json!({
                "replicas": node.replicas,
                "node_type": node.node_type,
                "neighbours": neighbours,
                "exp_history": node.rates.iter().map(minute).collect::<Vec<_>>(),
            });
            map.insert(node.name.clone(), fields);
        }
        Value::Object(map)
    }
}

/// Whole numbers without a fraction, as the original writes them.
pub(super) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// Names become parts of paths.
fn valid_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn replicas(fields: &Field<'_>) -> Result<BTreeMap<FunctionName, u32>> {
    let mut replicas = BTreeMap::new();
    for (name, count) in fields.entries()? {
        let expected = "replicas of one of funca, qrcode, ocr";
        let known = FUNCTIONS.contains(&name).then(|| name.parse().ok()).flatten();
        replicas.insert(known.ok_or_else(|| count.error(expected))?, count.whole()?);
    }
    Ok(replicas)
}

pub(super) fn neighbours(own: &str, list: &Field<'_>, names: &BTreeMap<&str, usize>) -> Result<Vec<usize>> {
    let mut seen = BTreeSet::new();
    let mut places = Vec::new();
    for entry in list.items()? {
        let name = entry.text()?;
        let place = *names.get(name).ok_or_else(|| entry.error("a node of this instance"))?;
        if name == own {
            return Err(entry.error("another node than the node itself"));
        }
        if !seen.insert(name) {
            return Err(entry.error("each neighbour once"));
        }
        places.push(place);
    }
    Ok(places)
}

fn rates(minute: &Field<'_>) -> Result<Vec<(FunctionName, f64)>> {
    let mut rates: Vec<(FunctionName, f64)> = Vec::new();
    for function in minute.get("functions")?.items()? {
        let name = function_name(&function.get("name")?)?;
        if rates.iter().any(|(known, _)| *known == name) {
            return Err(function.get("name")?.error("each function once in a minute"));
        }
        rates.push((name, function.get("invoc_rate")?.rate()?));
    }
    Ok(rates)
}

#[cfg(test)]
mod tests;
