//! A measured minute of a node, as files of both layouts have it.

use std::collections::BTreeMap;

use anyhow::Result;
use dfaas_agent::name::FunctionName;

use crate::{
    field::Field,
    replayed::{FunctionMetrics, NodeMetrics},
};

/// The functions that are simulated.
pub const FUNCTIONS: [&str; 3] = ["funca", "qrcode", "ocr"];

/// Functions of the measured nodes that are not simulated.
const IGNORED: [&str; 2] = ["figlet", "nodeinfo"];

/// A known function; the first layout's names for the second and third are understood.
pub(super) fn function_name(field: &Field<'_>) -> Result<FunctionName> {
    let name = match field.text()? {
        "funcb" => "qrcode",
        "funcc" => "ocr",
        name => name,
    };
    if !FUNCTIONS.contains(&name) && !IGNORED.contains(&name) {
        return Err(field.error("one of funca, qrcode, ocr, figlet, nodeinfo"));
    }
    name.parse().map_err(|_| field.error("a function name"))
}

/// One minute: the metrics, and the rates of all functions, also of those that are not simulated.
pub(super) fn minute_of(minute: &Field<'_>) -> Result<(NodeMetrics, Vec<(FunctionName, f64)>)> {
    let mut metrics = NodeMetrics {
        ram_usage: minute.get("ram_usage")?.number()?,
        cpu_usage: minute.get("cpu_usage")?.number()?,
        functions: BTreeMap::new(),
    };
    let mut rates = Vec::new();
    for function in minute.get("functions")?.items()? {
        let name = function_name(&function.get("name")?)?;
        rates.push((name.clone(), function.get("invoc_rate")?.rate()?));
        if FUNCTIONS.contains(&name.as_str()) {
            metrics.functions.insert(name, function_metrics(&function)?);
        }
    }
    Ok((metrics, rates))
}

fn function_metrics(function: &Field<'_>) -> Result<FunctionMetrics> {
    let state = function.get("state")?;
    let overloaded = match state.text()? {
        "Overload" => true,
        "Underload" => false,
        _ => return Err(state.error("Overload or Underload")),
    };
    let number = |key| function.get(key)?.number();
    Ok(FunctionMetrics {
        replicas: function.get("service_count")?.whole()?,
        rate: function.get("invoc_rate")?.rate()?,
        max_rate: function.get("max_rate")?.rate()?,
        margin: number("margin")?,
        overloaded,
        execution_s: number("afet")?,
        ram_share: number("ram_xfunc")?,
        cpu_share: number("cpu_xfunc")?,
        observed_rate: number("prom_invoc_rate")?,
    })
}
