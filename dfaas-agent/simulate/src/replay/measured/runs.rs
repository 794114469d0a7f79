//! Files of measured runs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::Measurements;
use crate::{
    field::{Document, Field},
    replay::old_layout,
    replayed::{FunctionMetrics, NodeMetrics},
};
use dfaas_agent::name::FunctionName;
use dfaas_base::BadInput;

/// The functions that are simulated.
pub const FUNCTIONS: [&str; 3] = ["funca", "qrcode", "ocr"];

/// Functions of the measured nodes that are not simulated.
const IGNORED: [&str; 2] = ["figlet", "nodeinfo"];

/// Folders deeper than this are not searched.
const MAX_DEPTH: usize = 8;

/// A run as instances are made of it.
#[derive(Clone, Debug)]
pub struct Run {
    pub node_type: String,
    pub replicas: BTreeMap<FunctionName, u32>,
    /// Functions with their rates by minute, in the order of the file.
    pub rates: Vec<Vec<(FunctionName, f64)>>,
}

/// A known function; the first layout's names for the second and third are understood.
pub fn function_name(field: &Field<'_>) -> Result<FunctionName> {
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

/// Adds the runs of a file, or of all JSON files below a folder.
pub(super) fn read(path: &Path, measurements: &mut Measurements) -> Result<()> {
    let mut files = Vec::new();
    if path.is_dir() {
        find(path, 0, &mut files)?;
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        let document = Document::read(&file)?;
        let root = document.root();
        if root.find("input").is_some() || root.find("output").is_some() {
            let (run, minutes) = run(&root)?;
            measurements.add_run(run, minutes);
        } else if old_layout::recognise(&root) {
            measurements.absorb(old_layout::read(&document)?.1);
        }
    }
    Ok(())
}

fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |e| BadInput(format!("--data {}: {e}, expected a readable folder", folder.display()));
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    // The order in which they are found must not depend on the file system.
    entries.sort();
    for entry in entries {
        if entry.is_dir() && depth < MAX_DEPTH {
            find(&entry, depth + 1, files)?;
        } else if entry.extension().is_some_and(|e| e == "json") {
            files.push(entry);
        }
    }
    Ok(())
}

fn run(root: &Field<'_>) -> Result<(Run, Vec<NodeMetrics>)> {
    let node_type = root.get("input")?.get("node")?.text()?.to_owned();
    let mut run = Run { node_type, replicas: BTreeMap::new(), rates: Vec::new() };
    let mut minutes = Vec::new();
    for minute in root.get("output")?.items()? {
        let (metrics, rates) = minute_of(&minute)?;
        run.replicas.extend(metrics.functions.iter().map(|(name, f)| (name.clone(), f.replicas)));
        run.rates.push(rates);
        minutes.push(metrics);
    }
    Ok((run, minutes))
}

/// One minute: the metrics, and the rates of all functions, also of those that are not simulated.
pub(in crate::replay) fn minute_of(minute: &Field<'_>) -> Result<(NodeMetrics, Vec<(FunctionName, f64)>)> {
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
