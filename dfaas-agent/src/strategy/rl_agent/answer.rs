//! What a model answers: shares of calls for this node, each neighbour and refusal.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use super::{Subject, node_key};
use crate::{decision::Weights, name::NodeId};

/// Shares of a model that computes in single precision may exceed 1 by this much.
const ROUNDING: f64 = 1e-3;

/// Why an answer was refused. Nothing changes then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BadAnswer {
    NoJson(String),
    /// Another shape than an object for this node, or an array.
    Shape {
        node: NodeId,
        found: String,
    },
    Missing(String),
    Unknown(String),
    Length {
        found: usize,
        neighbours: usize,
    },
    Share {
        of: String,
        found: String,
    },
    NothingShared,
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJson(error) => write!(f, "the answer is no JSON: {error}"),
            Self::Shape { node, found } => {
                write!(f, "the answer is {found}: expected an object with the one key node_{node}, or an array")
            }
            Self::Missing(key) => write!(f, "the answer has no share of {key}"),
            Self::Unknown(key) => write!(f, "the answer has a share of {key:?}, which was not in the question"),
            Self::Length { found, neighbours } => write!(
                f,
                "the answer has {found} shares: expected {} for this node, {neighbours} neighbours and refusal",
                neighbours + 2
            ),
            Self::Share { of, found } => write!(f, "the share of {of} is {found}: expected a number from 0 to 1"),
            Self::NothingShared => f.write_str("all shares of the answer are 0"),
        }
    }
}

impl std::error::Error for BadAnswer {}

/// Reads an answer to a question about `subject`: `{"node_<own>": {"local": …, "node_<peer>": …, "reject": …}}`, or an
/// array [local, neighbours in ascending order, reject], alone or in place of the inner object.
pub(crate) fn weights(subject: &Subject, answer: &[u8]) -> Result<Weights, BadAnswer> {
    let answer: Value = serde_json::from_slice(answer).map_err(|e| BadAnswer::NoJson(e.to_string()))?;
    let shares = match inner(subject, &answer)? {
        Inner::Object(shares) => from_object(subject, shares)?,
        Inner::Array(shares) => from_array(subject, shares)?,
    };
    let weight = |share: f64| (100.0 * share).round() as u32;
    let weights = Weights {
        local: weight(shares.local),
        reject: weight(shares.reject),
        peers: shares.peers.into_iter().map(|(node, share)| (node, weight(share))).collect(),
    };
    let nothing = weights.local == 0 && weights.reject == 0 && weights.peers.values().all(|weight| *weight == 0);
    if nothing { Err(BadAnswer::NothingShared) } else { Ok(weights) }
}

enum Inner<'a> {
    Object(&'a Map<String, Value>),
    Array(&'a [Value]),
}

fn inner<'a>(subject: &Subject, answer: &'a Value) -> Result<Inner<'a>, BadAnswer> {
    let shape = |found: &Value| {
        let found = found.to_string().chars().take(80).collect();
        BadAnswer::Shape { node: subject.node.clone(), found }
    };
    let value = match answer {
        Value::Object(nodes) if nodes.len() == 1 => nodes.get(&node_key(&subject.node)).ok_or_else(|| shape(answer))?,
        Value::Array(_) => answer,
        _ => return Err(shape(answer)),
    };
    match value {
        Value::Object(shares) => Ok(Inner::Object(shares)),
        Value::Array(shares) => Ok(Inner::Array(shares)),
        other => Err(shape(other)),
    }
}

struct Shares {
    local: f64,
    reject: f64,
    peers: BTreeMap<NodeId, f64>,
}

fn from_object(subject: &Subject, shares: &Map<String, Value>) -> Result<Shares, BadAnswer> {
    let get = |key: String| match shares.get(&key) {
        Some(value) => share(value, key),
        None => Err(BadAnswer::Missing(key)),
    };
    let peer = |node: &NodeId| Ok((node.clone(), get(node_key(node))?));
    let peers = subject.neighbours.iter().map(peer).collect::<Result<BTreeMap<_, _>, BadAnswer>>()?;
    let read = Shares { local: get("local".to_owned())?, reject: get("reject".to_owned())?, peers };
    let expected =
        |key: &str| matches!(key, "local" | "reject") || subject.neighbours.iter().any(|node| key == node_key(node));
    match shares.keys().find(|key| !expected(key)) {
        Some(unknown) => Err(BadAnswer::Unknown(unknown.chars().take(80).collect())),
        None => Ok(read),
    }
}

fn from_array(subject: &Subject, shares: &[Value]) -> Result<Shares, BadAnswer> {
    let neighbours = subject.neighbours.len();
    let [local, middle @ .., reject] = shares else {
        return Err(BadAnswer::Length { found: shares.len(), neighbours });
    };
    if middle.len() != neighbours {
        return Err(BadAnswer::Length { found: shares.len(), neighbours });
    }
    let peer = |(node, value): (&NodeId, &Value)| Ok((node.clone(), share(value, node_key(node))?));
    let peers = subject.neighbours.iter().zip(middle).map(peer).collect::<Result<_, BadAnswer>>()?;
    Ok(Shares { local: share(local, "local".to_owned())?, reject: share(reject, "reject".to_owned())?, peers })
}

fn share(value: &Value, of: String) -> Result<f64, BadAnswer> {
    match value.as_f64() {
        Some(share) if (0.0..=1.0 + ROUNDING).contains(&share) => Ok(share),
        _ => Err(BadAnswer::Share { of, found: value.to_string().chars().take(80).collect() }),
    }
}
