//! Instances in the form of the original.

use serde_json::{Map, Value, json};

use super::{Instance, Node, kind_name, node_name};
use dfaas_agent::forecast::groups::{Group, Groups};

impl Instance {
    pub fn to_json(&self, groups: &Groups) -> Value {
        let mut top = Map::new();
        top.insert("seed".into(), self.seed.into());
        top.insert("nodes_number".into(), self.nodes.len().into());
        top.insert("edge_prob".into(), self.edge_probability.into());
        top.insert("overloaded_perc".into(), self.overloaded_percent.into());
        top.extend(self.nodes.iter().enumerate().map(|(i, node)| (node_name(i), self::node(node, groups))));
        Value::Object(top)
    }
}

fn node(node: &Node, groups: &Groups) -> Value {
    let neighbours: Vec<_> = node.neighbours.iter().map(|n| node_name(*n)).collect();
    let load: Vec<_> = (0..node.rates.len()).map(|minute| self::minute(node, minute, groups)).collect();
    json!({ "node_type": kind_name(node.kind), "neighbours": neighbours, "load": load })
}

fn minute(node: &Node, minute: usize, groups: &Groups) -> Value {
    let of_group = |group: Group| {
        let inside =
            || node.functions.iter().zip(&node.rates[minute]).filter(move |(f, _)| groups.of(f) == Some(group));
        let functions: Vec<_> =
            inside().map(|(f, rate)| json!({ "function_name": f, "function_rate": rate })).collect();
        let total: u32 = inside().map(|(_, rate)| rate).sum();
        (!functions.is_empty())
            .then(|| (group.name().to_owned(), json!({ "functions": functions, "total_rate": total })))
    };
    Value::Object(Group::ALL.into_iter().filter_map(of_group).collect())
}
