//! The files that an experiment leaves, with the names, columns and separators of the original.

mod config;
mod results;
mod tables;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

pub use tables::{INVOCATION_RATES, MAX_RATES};

use super::{Experiment, instance::Instance, measured::Minutes, plots};

/// Writes everything into an existing folder.
pub fn write(folder: &Path, instance: &Instance, minutes: &Minutes, experiment: &Experiment) -> Result<()> {
    write_json(&folder.join("instance.json"), &instance.to_json())?;
    config::write(&folder.join("final_config"), instance, minutes)?;
    tables::write_all(&folder.join("reports"), instance, experiment)?;
    config::write_logs(&folder.join("logs"), instance, experiment)?;
    plots::write(&folder.join("plots"), instance, experiment)?;
    results::write(folder, experiment)
}

pub fn write_json(file: &Path, value: &serde_json::Value) -> Result<()> {
    write_text(file, &(serde_json::to_string_pretty(value)? + "\n"))
}

fn write_text(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
