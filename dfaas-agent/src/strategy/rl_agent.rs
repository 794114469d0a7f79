//! RL agent, the pure part: what a trained model is asked, and what its answer makes of the weights.
//!
//! The names and numbers of both are the original's; any number of functions and of
//! neighbours may take part.

mod answer;
mod driver;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub(crate) use self::{
    answer::weights,
    driver::{Action, Driver, Pace},
    window::{Forwarded, Mark, Window},
};
use crate::name::{FunctionName, NodeId};

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// This node.
    pub node: NodeId,
    pub function: FunctionName,
    /// Peers that run the function. An answer must be about exactly these.
    pub neighbours: BTreeSet<NodeId>,
    /// Name the function in the question: the original's models know one function and no such name.
    pub named: bool,
}

/// The body of a question, keys sorted.
///
/// `current` is the window that ends now. `previous` is the one before it; `None` before the first answer has been in
/// force for a window, where the original's defaults stand in.
pub(crate) fn question(subject: &Subject, current: &Window, previous: Option<&Window>, explore: bool) -> Value {
    let mut parameters = Map::from_iter([("explore".to_owned(), Value::Bool(explore))]);
    if subject.named {
        parameters.insert("function".to_owned(), Value::String(subject.function.to_string()));
    }
    let observation = observation(&subject.neighbours, current, previous);
    json!({"agent_parameters": parameters, "observation": {node_key(&subject.node): observation}})
}

fn observation(neighbours: &BTreeSet<NodeId>, current: &Window, previous: Option<&Window>) -> BTreeMap<String, Value> {
    let before_the_first = Window { replicas: 1, ..Window::default() };
    let previous = previous.unwrap_or(&before_the_first);
    let mut values = BTreeMap::new();
    for (prefix, window) in [("", current), ("previous_", previous)] {
        for (name, value) in [
            ("input_rate", window.input_rate),
            ("reject_rate", window.reject_share),
            ("avg_resp_time_loc", window.local_response_ms),
            ("cpu_utilization", window.cpu_share),
            ("n_replicas", f64::from(window.replicas)),
        ] {
            values.insert(format!("{prefix}{name}"), number(value));
        }
    }
    for neighbour in neighbours {
        let forward = previous.forwards.get(neighbour).copied().unwrap_or_default();
        let to = format!("fwd_to_{}", node_key(neighbour));
        values.insert(format!("previous_{to}"), number(forward.rate));
        values.insert(format!("previous_{to}_rejected"), number(forward.rejected_rate));
        values.insert(format!("previous_avg_resp_time_{to}"), number(forward.response_ms));
    }
    values
}

/// A node's name in questions and answers.
fn node_key(node: &NodeId) -> String {
    format!("node_{node}")
}

/// Whole numbers are written without a fraction, as the original does. What is no number is 0.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        Value::from(0)
    } else if value.fract() == 0.0 && value.abs() < EXACT {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

#[cfg(test)]
mod tests;
