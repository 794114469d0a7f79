//! A federation and what its clients want: the original's instance file.

mod read;
mod write;

use dfaas_agent::{
    forecast::{GroupRates, NodeType, groups::Groups},
    name::FunctionName,
};

use super::MINUTES;

#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub seed: u64,
    pub edge_probability: f64,
    /// Share of nodes that get more than they can do, at most, in percent.
    pub overloaded_percent: f64,
    pub nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: NodeType,
    /// In the order of the file, which decides who gets a remainder.
    pub neighbours: Vec<usize>,
    /// What is deployed here, in alphabetical order.
    pub functions: Vec<FunctionName>,
    /// Calls per second by minute and by place of the function.
    pub rates: [Vec<u32>; MINUTES],
}

impl Node {
    pub fn runs(&self, function: &FunctionName) -> bool {
        self.functions.binary_search(function).is_ok()
    }

    /// Functions and rates of a minute.
    pub fn load(&self, minute: usize) -> impl Iterator<Item = (&FunctionName, f64)> {
        self.functions.iter().zip(self.rates[minute].iter().map(|rate| f64::from(*rate)))
    }

    pub fn group_rates(&self, minute: usize, groups: &Groups) -> GroupRates {
        groups.rates(self.load(minute))
    }

    pub fn shares_a_function(&self, other: &Self) -> bool {
        self.functions.iter().any(|function| other.runs(function))
    }
}

/// `node_3`: names of nodes in all files.
pub fn node_name(node: usize) -> String {
    format!("node_{node}")
}

/// As the file says it.
pub fn kind_name(kind: NodeType) -> &'static str {
    match kind {
        NodeType::Heavy => "HEAVY",
        NodeType::Mid => "MID",
        NodeType::Light => "LIGHT",
    }
}
