//! Bytes to messages: the values of the raw objects checked, names and numbers bounded.

use std::{collections::BTreeMap, fmt};

use super::{
    Load, MAX_FUNCTIONS, MAX_MESSAGE_BYTES, MAX_PEERS, MarginInfo, MaxValues, Message, NodeMarginInfo, Number,
    RecalcInfo, StaticInfo, kind,
    raw::{Info, Kind, Margin, Recalc, Text, object},
};
use crate::{
    forecast::NodeType,
    name::{FunctionName, InvalidName},
};

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum BadMessage {
    TooLong(usize),
    Malformed(String),
    Host(InvalidName),
    Port(u64),
    NodeType(i64),
    Number(Number, f64),
    TooMany { what: &'static str, found: usize, most: usize },
}

impl BadMessage {
    /// A metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too_long",
            Self::Malformed(_) => "malformed",
            Self::Host(_) => "host",
            Self::Port(_) => "port",
            Self::NodeType(_) => "node_type",
            Self::Number(..) => "number",
            Self::TooMany { .. } => "too_many",
        }
    }
}

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(f, "message of {bytes} bytes, expected at most {MAX_MESSAGE_BYTES}"),
            Self::Malformed(why) => write!(f, "message is not a well-typed JSON object: {why}"),
            Self::Host(why) => write!(f, "{why}"),
            Self::Port(port) => write!(f, "proxy port {port}, expected 1 to 65535"),
            Self::NodeType(found) => write!(f, "node type {found}, expected 0 to 2"),
            Self::Number(what, value) => write!(f, "{what} {value}: expected a finite number, not negative"),
            Self::TooMany { what, found, most } => write!(f, "{found} {what}, expected at most {most}"),
        }
    }
}

impl std::error::Error for BadMessage {}

/// A message, and how many names in it were invalid and left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub message: Message,
    pub dropped_names: usize,
}

impl Message {
    pub fn decode(bytes: &[u8]) -> Result<Decoded, BadMessage> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(BadMessage::TooLong(bytes.len()));
        }
        let mut dropped_names = 0;
        let msg_type = object::<Kind>(bytes)?.0;
        let message = match msg_type.as_str() {
            kind::RECALC => recalc(object(bytes)?, &mut dropped_names)?,
            kind::NODE_MARGIN => node_margin(object(bytes)?, &mut dropped_names)?,
            kind::MARGIN => margin(&object(bytes)?)?,
            kind::STATIC => {
                let raw: Info = object(bytes)?;
                Message::Static(StaticInfo {
                    proxy: raw.proxy()?,
                    functions: names(raw.functions, &mut dropped_names)?,
                })
            }
            kind::TEXT => Message::Text(object::<Text>(bytes)?.0),
            other => Message::Unknown(other.chars().take(64).collect()),
        };
        Ok(Decoded { message, dropped_names })
    }
}

fn recalc(raw: Recalc, dropped: &mut usize) -> Result<Message, BadMessage> {
    bound("peers", raw.limits.len(), MAX_PEERS)?;
    let mut limits = BTreeMap::new();
    for (peer, functions) in &raw.limits {
        let functions = functions.as_ref();
        bound("functions", functions.map_or(0, BTreeMap::len), MAX_FUNCTIONS)?;
        let Ok(peer) = peer.parse() else {
            *dropped += 1;
            continue;
        };
        let mut checked = BTreeMap::new();
        for (function, limit) in functions.into_iter().flatten() {
            let limit = number(Number::Limit, limit.unwrap_or_default())?;
            match function.parse::<FunctionName>() {
                Ok(function) => _ = checked.insert(function, limit),
                Err(_) => *dropped += 1,
            }
        }
        limits.insert(peer, checked);
    }
    Ok(Message::Recalc(RecalcInfo { proxy: raw.proxy.check()?, limits }))
}

fn node_margin(raw: Info, dropped: &mut usize) -> Result<Message, BadMessage> {
    let node_type = NodeType::from_number(raw.node_type).ok_or(BadMessage::NodeType(raw.node_type))?;
    let max = |key: &str| number(Number::MaxValue, raw.max_values.get(key).copied().flatten().unwrap_or_default());
    let max_values = MaxValues {
        cpu_percent: max("cpu_usage_node")?,
        ram_bytes: max("ram_usage_node")?,
        power_microwatts: max("power_usage_node")?,
    };
    let proxy = raw.proxy()?;
    Ok(Message::NodeMargin(NodeMarginInfo { proxy, node_type, max_values, functions: names(raw.functions, dropped)? }))
}

fn margin(raw: &Margin) -> Result<Message, BadMessage> {
    Ok(Message::Margin(MarginInfo {
        margin: number(Number::Margin, raw.margin)?,
        load: Load {
            high: number(Number::Load, raw.load.0.high)?,
            low: number(Number::Load, raw.load.0.low)?,
            medium: number(Number::Load, raw.load.0.medium)?,
        },
    }))
}

fn number(what: Number, value: f64) -> Result<f64, BadMessage> {
    if what.accepts(value) { Ok(value) } else { Err(BadMessage::Number(what, value)) }
}

fn bound(what: &'static str, found: usize, most: usize) -> Result<(), BadMessage> {
    if found <= most { Ok(()) } else { Err(BadMessage::TooMany { what, found, most }) }
}

fn names(raw: Vec<Option<String>>, dropped: &mut usize) -> Result<Vec<FunctionName>, BadMessage> {
    bound("functions", raw.len(), MAX_FUNCTIONS)?;
    let found = raw.len();
    let names: Vec<_> = raw.into_iter().filter_map(|name| name?.try_into().ok()).collect();
    *dropped += found - names.len();
    Ok(names)
}
