//! Indices by strategy: of each repetition, of all, and their means.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;

use super::write_text;
use crate::replay::{
    Experiment,
    indices::{Indices, NAMES},
};

pub(super) fn write(folder: &Path, experiment: &Experiment) -> Result<()> {
    for repetition in 0..experiment.seeds.len() {
        write_text(&folder.join(format!("iteration_{repetition}.csv")), &comparison(experiment, repetition))?;
    }
    if let Some(last) = experiment.seeds.len().checked_sub(1) {
        write_text(&folder.join("index_comparison.csv"), &comparison(experiment, last))?;
    }
    write_text(&folder.join("experiment_results.csv"), &all(experiment))?;
    write_text(&folder.join("final_comparison.txt"), &means(experiment))
}

fn values(indices: &Indices) -> String {
    indices.0.iter().fold(String::new(), |mut text, value| {
        let _ = write!(text, "\t{value:?}");
        text
    })
}

fn comparison(experiment: &Experiment, repetition: usize) -> String {
    let mut text = format!("\t{}\n", NAMES.join("\t"));
    for result in &experiment.results {
        text.push_str(result.choice.name());
        text.push_str(&values(&result.repetitions[repetition].indices));
        text.push('\n');
    }
    text
}

fn all(experiment: &Experiment) -> String {
    let mut text = format!("seed\tstrategy\t{}\n", NAMES.join("\t"));
    for (repetition, seed) in experiment.seeds.iter().enumerate() {
        for result in &experiment.results {
            let _ = write!(text, "{seed}\t{}", result.choice.name());
            text.push_str(&values(&result.repetitions[repetition].indices));
            text.push('\n');
        }
    }
    text
}

fn means(experiment: &Experiment) -> String {
    let line = "-".repeat(45) + "\n";
    let mut text = String::new();
    for result in &experiment.results {
        text.push_str(&line);
        let _ = writeln!(text, "> Strategy {}", result.choice.name());
        for (name, value) in result.mean().named() {
            let _ = writeln!(text, "     > {name}: {value:?}");
        }
    }
    text + &line
}
