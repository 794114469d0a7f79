//! The measured forecaster against the profiling runs of the original: 75 000 tests of 30 s on three kinds of machines.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs::File, path::PathBuf};

use dfaas_agent::{
    forecast::measured::{Measured, MetricReading, Quality, Reading},
    name::FunctionName,
};
use flate2::read::GzDecoder;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

const FUNCTIONS: [&str; 6] = ["curl", "eat-memory", "env", "figlet", "nmap", "shasum"];

/// One test: what was called, and what the node used meanwhile.
struct Run {
    node_type: u8,
    overloaded: bool,
    rates: BTreeMap<FunctionName, f64>,
    reading: Reading,
}

fn runs() -> Vec<Run> {
    let folder = std::env::var("DFAAS_REFERENCE_DATA").expect("DFAAS_REFERENCE_DATA names the folder of the data");
    let path = PathBuf::from(folder).join("profiling/functions_full.csv.gz");
    let mut rows = csv::Reader::from_reader(GzDecoder::new(File::open(path).unwrap()));
    rows.deserialize::<BTreeMap<String, Option<f64>>>().filter_map(|row| run(&row.unwrap())).collect()
}

/// `None` for the one row that is incomplete.
fn run(row: &BTreeMap<String, Option<f64>>) -> Option<Run> {
    let rate = |name: &&str| (name.parse().unwrap(), row[&format!("rate_{name}")].unwrap_or(0.0));
    let node =
        MetricReading { cpu: Some(row["cpu"]?), ram: Some(row["ram_mb"]? * 1e6), power: Some(row["power_w"]? * 1e6) };
    Some(Run {
        node_type: row["node_type"]? as u8,
        overloaded: row["overloaded"]? > 0.0,
        rates: FUNCTIONS.iter().map(rate).collect(),
        reading: Reading { node, functions: BTreeMap::new() },
    })
}

/// Standard deviation: the error of a forecast that knows the mean alone.
fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[test]
#[ignore = "needs the reference data"]
fn linear_costs_explain_most_of_what_real_nodes_use() {
    let runs = runs();
    assert_eq!(runs.len(), 75_452);
    for node_type in 0..3 {
        let mut tests: Vec<&Run> = runs.iter().filter(|run| run.node_type == node_type && !run.overloaded).collect();
        // The tests go through the rates one after the other, so that the next is like the last: too easy.
        tests.shuffle(&mut StdRng::seed_from_u64(1));
        tests.truncate(6_000);
        // 300 is the default of the agent.
        for memory_samples in [300, 30_000] {
            let mut measured = Measured::new(memory_samples);
            for test in &tests {
                measured.learn(&test.reading, &test.rates).unwrap();
            }
            let [cpu, ram, power] = explained(&measured, &tests);
            let text =
                format!("type {node_type}, memory {memory_samples}: cpu {cpu:.3}, ram {ram:.3}, power {power:.3}");
            eprintln!("{text}; {:?}", measured.quality());
            assert!(cpu > 0.85 && ram > 0.2 && power > 0.7, "{text}");
        }
    }
}

/// Shares of the variance that the forecasts foresaw.
fn explained(measured: &Measured, tests: &[&Run]) -> [f64; 3] {
    let Quality { cpu_rms, ram_rms, power_rms, .. } = measured.quality();
    let spread = |of: fn(&MetricReading) -> Option<f64>| {
        deviation(tests.iter().map(move |test| of(&test.reading.node).unwrap()))
    };
    let share = |rms: Option<f64>, spread: f64| 1.0 - (rms.unwrap() / spread).powi(2);
    [share(cpu_rms, spread(|r| r.cpu)), share(ram_rms, spread(|r| r.ram)), share(power_rms, spread(|r| r.power))]
}
