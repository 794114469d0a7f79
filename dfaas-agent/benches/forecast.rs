//! What a forecast costs: one row of all three models, many rows, and the weights of node margin.
//!
//! Needs the original's models, in the folder that `DFAAS_REFERENCE_DATA` names. `lightgbm_predictor.py` measures the same rows
//! with LightGBM's own predictor.

#![allow(clippy::unwrap_used, reason = "what is not as expected ends the run")]

use std::{collections::BTreeMap, hint::black_box, path::PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dfaas_agent::{
    forecast::{
        GroupRates, NodeType, Usage,
        folder::ModelFolder,
        groups::Groups,
        models::{Family, UsageModels},
    },
    name::{FunctionName, NodeId},
    strategy::node_margin::{Options, Own, PeerMargin, weigh},
};

fn reference() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("DFAAS_REFERENCE_DATA")?).join("forecaster"))
}

fn forecasts(criterion: &mut Criterion) {
    let Some(folder) = reference() else {
        #[allow(clippy::print_stderr, reason = "the answer to whoever runs the bench")]
        {
            eprintln!("not run: DFAAS_REFERENCE_DATA does not name the reference data");
        }
        return;
    };
    let load = || UsageModels::load(&ModelFolder::open(&folder).unwrap(), Family::Regression).unwrap();
    let models = load();
    let mut table = csv::Reader::from_path(folder.join("forecaster_golden.csv")).unwrap();
    let row = |record: csv::StringRecord| std::array::from_fn(|i| record[i].parse().unwrap());
    let rows: Vec<[f64; 4]> = table.records().map(|record| row(record.unwrap())).collect();

    let mut group = criterion.benchmark_group("forecast");
    let mut next = rows.iter().cycle();
    group.bench_function("one row, three models", |b| b.iter(|| models.predict(black_box(next.next().unwrap()))));
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("842 rows, three models", |b| {
        b.iter(|| rows.iter().map(|row| models.predict(black_box(row)).cpu).sum::<f64>());
    });
    group.finish();
    criterion.bench_function("load three models", |b| b.iter(load));
    criterion.bench_function("node margin, 20 peers, 20 functions", |b| {
        let (groups, rates, peers) = overloaded();
        let limits = Usage { cpu: 200.0, ram: 5.5e9, power: 2.2e6 };
        let own = Own { node: NodeType::Mid, limits, rates, groups: &groups };
        b.iter(|| weigh(black_box(&own), &peers, &models, &Options::LIVE).unwrap());
    });
}

/// A node with four times what it can do, and peers that are all asked for every function.
fn overloaded() -> (Groups, BTreeMap<FunctionName, f64>, BTreeMap<NodeId, PeerMargin>) {
    let names: Vec<String> = (0..20).map(|i| format!("f{i:02}")).collect();
    let (high, low, medium) = (&names[..4], &names[4..14], &names[14..]);
    let groups = serde_json::json!({ "HIGH_USAGE": high, "LOW_USAGE": low, "MEDIUM_USAGE": medium });
    let rate = |i: usize| if i < 4 { 10.0 } else { 40.0 };
    let functions: Vec<FunctionName> = names.iter().map(|name| name.parse().unwrap()).collect();
    let rates = functions.iter().enumerate().map(|(i, name)| (name.clone(), rate(i))).collect();
    let peer = |i: usize| {
        let id = format!("12D3KooW{}{i:02}", "x".repeat(42)).parse().unwrap();
        let limits = Usage { cpu: 290.0, ram: 5.5e9, power: 2.2e6 };
        let load = GroupRates { high: 1.0, low: 10.0, medium: 4.0 };
        let functions = functions.iter().cloned().collect();
        (id, PeerMargin { node: NodeType::Mid, limits, margin: 3.0 + i as f64 / 4.0, load, functions })
    };
    (Groups::from_json(&groups.to_string()).unwrap(), rates, (0..20).map(peer).collect())
}

criterion_group!(benches, forecasts);
criterion_main!(benches);
