//! Messages to bytes, in the form Go's encoder gives them.

use std::{collections::BTreeMap, fmt, io};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::{Load, MAX_TEXT_BYTES, MaxValues, Message, Number};
use crate::name::{FunctionName, Host, NodeId};

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum EncodeError {
    BadNumber(Number, f64),
    TooLong(usize),
    UnknownKind(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadNumber(what, value) => write!(f, "{what} {value}: expected a finite number, not negative"),
            Self::TooLong(bytes) => write!(f, "message of {bytes} bytes, expected at most {MAX_TEXT_BYTES}"),
            Self::UnknownKind(kind) => write!(f, "message of type {kind:?}: only known types are sent"),
        }
    }
}

impl std::error::Error for EncodeError {}

impl Message {
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if let Some((what, value)) = self.numbers().find(|(what, value)| !what.accepts(*value)) {
            return Err(EncodeError::BadNumber(what, value));
        }
        let msg_type = self.kind();
        let bytes = match self {
            Self::Recalc(info) => {
                go_json(&RecalcWire { msg_type, host: &info.proxy.host, port: info.proxy.port, limits: &info.limits })
            }
            Self::NodeMargin(info) => go_json(&NodeMarginWire {
                msg_type,
                host: &info.proxy.host,
                port: info.proxy.port,
                node_type: info.node_type.number(),
                max_values: info.max_values,
                functions: list(&info.functions),
            }),
            Self::Margin(info) => go_json(&MarginWire { msg_type, margin: info.margin, load: info.load }),
            Self::Static(info) => go_json(&StaticWire {
                msg_type,
                host: &info.proxy.host,
                port: info.proxy.port,
                functions: list(&info.functions),
            }),
            Self::Text(text) => go_json(&TextWire { msg_type, text }),
            Self::Unknown(kind) => return Err(EncodeError::UnknownKind(kind.clone())),
        };
        if bytes.len() > MAX_TEXT_BYTES { Err(EncodeError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    fn numbers(&self) -> Box<dyn Iterator<Item = (Number, f64)> + '_> {
        match self {
            Self::Recalc(info) => {
                Box::new(info.limits.values().flat_map(BTreeMap::values).map(|v| (Number::Limit, *v)))
            }
            Self::NodeMargin(info) => {
                let max = info.max_values;
                Box::new(
                    [max.cpu_percent, max.ram_bytes, max.power_microwatts].map(|v| (Number::MaxValue, v)).into_iter(),
                )
            }
            Self::Margin(info) => {
                let Load { high, low, medium } = info.load;
                let load = [high, low, medium].map(|v| (Number::Load, v));
                Box::new([(Number::Margin, info.margin)].into_iter().chain(load))
            }
            Self::Static(_) | Self::Text(_) | Self::Unknown(_) => Box::new(std::iter::empty()),
        }
    }
}

/// Go writes a list that was never filled as `null`.
fn list(functions: &[FunctionName]) -> Option<&[FunctionName]> {
    (!functions.is_empty()).then_some(functions)
}

#[derive(Serialize)]
struct RecalcWire<'a> {
    #[serde(rename = "MsgType")]
    msg_type: &'a str,
    #[serde(rename = "HAProxyHost")]
    host: &'a Host,
    #[serde(rename = "HAProxyPort")]
    port: u16,
    #[serde(rename = "FuncLimits")]
    limits: &'a BTreeMap<NodeId, BTreeMap<FunctionName, f64>>,
}

#[derive(Serialize)]
struct NodeMarginWire<'a> {
    #[serde(rename = "MsgType")]
    msg_type: &'a str,
    #[serde(rename = "HAProxyHost")]
    host: &'a Host,
    #[serde(rename = "HAProxyPort")]
    port: u16,
    #[serde(rename = "NodeType")]
    node_type: u8,
    #[serde(rename = "MaxValues")]
    max_values: MaxValues,
    #[serde(rename = "Functions")]
    functions: Option<&'a [FunctionName]>,
}

#[derive(Serialize)]
struct MarginWire<'a> {
    #[serde(rename = "MsgType")]
    msg_type: &'a str,
    #[serde(rename = "Margin")]
    margin: f64,
    #[serde(rename = "Load")]
    load: Load,
}

#[derive(Serialize)]
struct StaticWire<'a> {
    #[serde(rename = "MsgType")]
    msg_type: &'a str,
    #[serde(rename = "HAProxyHost")]
    host: &'a Host,
    #[serde(rename = "HAProxyPort")]
    port: u16,
    #[serde(rename = "Functions")]
    functions: Option<&'a [FunctionName]>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TextWire<'a> {
    msg_type: &'a str,
    text: &'a str,
}

fn go_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail, nor can these types: maps have string keys.
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, GoFormatter));
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || (1e-6..1e21).contains(&size) {
            return write!(writer, "{value}");
        }
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => write!(writer, "{digits}e+{exponent}"),
            _ => writer.write_all(text.as_bytes()),
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            let mut chars = tail.chars();
            let code = chars.next().map_or(0, u32::from);
            write!(writer, "{plain}\\u{code:04x}")?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}
