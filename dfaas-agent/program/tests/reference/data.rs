//! The original's data, and how numbers are compared with it.

#![allow(dead_code, reason = "each suite uses a part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

pub(crate) fn data(path: &str) -> PathBuf {
    let root = std::env::var_os("DFAAS_REFERENCE_DATA").expect("DFAAS_REFERENCE_DATA names the folder");
    PathBuf::from(root).join(path)
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
pub(crate) fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
}

/// One column of a strategy's rows.
pub(crate) fn recorded_runs(file: &str, strategy: &str, column: &str) -> Vec<f64> {
    let mut reader = csv::Reader::from_path(data(file)).unwrap();
    let headers = reader.headers().unwrap().clone();
    let place = |name: &str| headers.iter().position(|header| header == name).unwrap_or_else(|| panic!("no {name}"));
    let (strategy_at, value_at) = (place("strategy"), place(column));
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[strategy_at] == strategy);
    let values: Vec<f64> = rows.map(|row| row[value_at].parse().unwrap()).collect();
    assert!(!values.is_empty(), "{file} has no {strategy}");
    values
}

pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (values.len() - 1) as f64).sqrt())
}

/// An instance whose nodes are measured runs, each the neighbour of all others.
pub(crate) fn instance_of_runs(folder: &str, runs: &[&str]) -> Value {
    let mut instance = json!({"seed": 0, "nodes_number": runs.len(), "edge_prob": 1.0});
    for (i, run) in runs.iter().enumerate() {
        let run = json(&data(folder).join(format!("{run}.json")));
        let input = &run["input"];
        let minutes: Vec<Value> = run["output"].as_array().unwrap().iter().map(|minute| {
            let functions = minute["functions"].as_array().unwrap().iter();
            json!({"functions": functions.map(|f| json!({"name": f["name"], "invoc_rate": f["invoc_rate"]})).collect::<Vec<_>>()})
        }).collect();
        let others = (0..runs.len()).filter(|other| *other != i).map(|other| format!("node_{other}"));
        instance[format!("node_{i}")] = json!({
            "replicas": {"funca": input["funca_num"], "qrcode": input["qrcode_num"], "ocr": input["ocr_num"]},
            "node_type": input["node"],
            "neighbours": others.collect::<Vec<_>>(),
            "exp_history": minutes,
        });
    }
    instance
}
