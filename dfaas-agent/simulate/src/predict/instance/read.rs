//! Reads an instance and checks everything in it. Errors name the field and its value.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value};

use super::{Instance, MINUTES, Node, kind_name, node_name};
use crate::json::quote_non_numbers;
use dfaas_agent::{
    forecast::{
        NodeType,
        groups::{Group, Groups},
    },
    name::FunctionName,
};

type Object = Map<String, Value>;
/// Rates of a minute by function.
type Minute = BTreeMap<FunctionName, u32>;

impl Instance {
    pub fn read(file: &Path, groups: &Groups) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
        Self::from_json(&text, groups).map_err(|e| format!("{}: {e}", file.display()))
    }

    pub fn from_json(text: &str, groups: &Groups) -> Result<Self, String> {
        let value: Value = serde_json::from_str(&quote_non_numbers(text)).map_err(|e| e.to_string())?;
        let top = object(&value, "the file")?;
        let count = whole(field(top, "nodes_number", "")?, "nodes_number")? as usize;
        let nodes = (0..count).map(|i| node(top, i, count, groups)).collect::<Result<_, _>>()?;
        let number = |name: &str| -> Result<f64, String> {
            let value = field(top, name, "")?;
            value.as_f64().ok_or_else(|| format!("{name} is {value}, expected a number"))
        };
        let seed = field(top, "seed", "")?;
        let seed = seed.as_u64().ok_or_else(|| format!("seed is {seed}, expected a whole number of at least 0"))?;
        if let Some(more) = top.keys().find(|key| extra(key, count)) {
            return Err(format!(
                "{more}: nodes_number is {count}, expected nodes up to node_{}",
                count.saturating_sub(1)
            ));
        }
        Ok(Self { seed, edge_probability: number("edge_prob")?, overloaded_percent: number("overloaded_perc")?, nodes })
    }
}

fn extra(key: &str, count: usize) -> bool {
    key.strip_prefix("node_").and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n >= count)
}

fn node(top: &Object, index: usize, count: usize, groups: &Groups) -> Result<Node, String> {
    let name = node_name(index);
    let node = object(field(top, &name, "")?, &name)?;
    let path = |field: &str| format!("{name}.{field}");
    let kind = field(node, "node_type", &name)?;
    let known = [NodeType::Heavy, NodeType::Mid, NodeType::Light].into_iter().find(|k| *kind == *kind_name(*k));
    let kind = known.ok_or_else(|| format!("{}: {kind}, expected HEAVY, MID or LIGHT", path("node_type")))?;
    let neighbours = neighbours(node, &name, count)?;
    let load = list(field(node, "load", &name)?, &path("load"))?;
    if load.len() != MINUTES {
        return Err(format!("{}: has {} minutes, expected {MINUTES}", path("load"), load.len()));
    }
    let minute = |(i, value): (usize, &Value)| minute(value, &path(&format!("load[{i}]")), groups);
    let minutes = load.iter().enumerate().map(minute).collect::<Result<Vec<Minute>, _>>()?;
    let mut functions: Vec<_> = minutes.iter().flat_map(|m| m.keys().cloned()).collect();
    functions.sort();
    functions.dedup();
    let rates = |minute: &Minute| functions.iter().map(|f| minute.get(f).copied().unwrap_or(0)).collect();
    let rates = std::array::from_fn(|i| rates(&minutes[i]));
    Ok(Node { kind, neighbours, functions, rates })
}

fn neighbours(node: &Object, name: &str, count: usize) -> Result<Vec<usize>, String> {
    let path = format!("{name}.neighbours");
    let mut neighbours = Vec::new();
    for value in list(field(node, "neighbours", name)?, &path)? {
        let text = value.as_str().unwrap_or_default();
        let index = text.strip_prefix("node_").and_then(|n| n.parse().ok()).filter(|i| node_name(*i) == text);
        let index = index.filter(|i| *i < count);
        let index: usize = index.ok_or_else(|| format!("{path}: {value} is not a node of this instance"))?;
        if node_name(index) == name {
            return Err(format!("{path}: {value} is the node itself, expected others"));
        }
        if neighbours.contains(&index) {
            return Err(format!("{path}: {value} a second time"));
        }
        neighbours.push(index);
    }
    Ok(neighbours)
}

fn minute(value: &Value, path: &str, groups: &Groups) -> Result<Minute, String> {
    let mut minute = Minute::new();
    for (group_name, value) in object(value, path)? {
        let path = format!("{path}.{group_name}");
        let group = Group::from_name(group_name);
        let group =
            group.ok_or_else(|| format!("{path}: unknown group, expected one of {:?}", Group::ALL.map(Group::name)))?;
        let inside = object(value, &path)?;
        let mut sum = 0;
        for (i, value) in list(field(inside, "functions", &path)?, &format!("{path}.functions"))?.iter().enumerate() {
            let path = format!("{path}.functions[{i}]");
            let (function, rate) = function(object(value, &path)?, &path, group, groups)?;
            sum += rate;
            if minute.insert(function.clone(), rate).is_some() {
                return Err(format!("{path}.function_name: \"{function}\" a second time"));
            }
        }
        if let Some(total) = inside.get("total_rate") {
            let total = whole(total, &format!("{path}.total_rate"))?;
            if total != sum {
                return Err(format!("{path}.total_rate is {total}, expected the sum of its functions, {sum}"));
            }
        }
    }
    Ok(minute)
}

fn function(entry: &Object, path: &str, group: Group, groups: &Groups) -> Result<(FunctionName, u32), String> {
    let value = field(entry, "function_name", path)?;
    let name = value.as_str().and_then(|text| text.parse::<FunctionName>().ok());
    let name = name.filter(|name| groups.of(name) == Some(group)).ok_or_else(|| {
        format!("{path}.function_name: {value} is unknown, expected one of {:?}", names(group, groups))
    })?;
    Ok((name, whole(field(entry, "function_rate", path)?, &format!("{path}.function_rate"))?))
}

fn names(group: Group, groups: &Groups) -> Vec<&str> {
    groups.functions(group).into_iter().map(FunctionName::as_str).collect()
}

fn field<'a>(object: &'a Object, name: &str, path: &str) -> Result<&'a Value, String> {
    let dot = if path.is_empty() { "" } else { "." };
    object.get(name).ok_or_else(|| format!("{path}{dot}{name} is missing"))
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Object, String> {
    value.as_object().ok_or_else(|| format!("{path} is {}, expected an object", short(value)))
}

fn list<'a>(value: &'a Value, path: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{path} is {}, expected a list", short(value)))
}

/// A rate or a count. The bound keeps sums far from overflow.
fn whole(value: &Value, path: &str) -> Result<u32, String> {
    let found = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=1e6).contains(n));
    found
        .map(|n| n as u32)
        .ok_or_else(|| format!("{path} is {}, expected a whole number from 0 to 1000000", short(value)))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests;
