//! What a user gives: instances and measured runs, in either layout.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use dfaas_base::BadInput;

use super::{
    instance::Instance,
    measured::{Measurements, Run},
    minute::minute_of,
    old_layout,
};
use crate::{
    field::{Document, Field},
    replayed::NodeMetrics,
};

/// Folders deeper than this are not searched.
const MAX_DEPTH: usize = 8;

impl Instance {
    /// Reads either layout. The old one brings its own measurements, which are added to the given ones.
    pub fn read(path: &Path, measurements: &mut Measurements) -> Result<Self> {
        let document = Document::read(path)?;
        if old_layout::recognise(&document.root()) {
            let (instance, recorded) = old_layout::read(&document)?;
            measurements.absorb(recorded);
            return Ok(instance);
        }
        Self::parse(&document.root(), path.display().to_string())
    }
}

impl Measurements {
    /// From a folder with measured runs (searched with its subfolders) or a single file.
    pub fn read(path: &Path) -> Result<Self> {
        let mut measurements = Self::default();
        read(path, &mut measurements)?;
        if measurements.is_empty() {
            let expected = "expected JSON files of measured runs, with \"input\" and \"output\"";
            return Err(BadInput(format!("--data {}: no measured run in it, {expected}", path.display())).into());
        }
        Ok(measurements)
    }
}

/// Adds the runs of a file, or of all JSON files below a folder.
fn read(path: &Path, measurements: &mut Measurements) -> Result<()> {
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
