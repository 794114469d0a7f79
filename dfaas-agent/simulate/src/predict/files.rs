//! The results as files, with the original's names, columns and separators.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    MINUTES,
    analysis::{Indices, PredictedOutcome},
    instance::{Instance, kind_name, node_name},
    node::NodeModel,
    sweep::{Case, means},
};
use dfaas_agent::forecast::groups::{Group, Groups};

/// Titles of the indices in the original's tables.
const TITLES: [&str; 7] = [
    "Mean success rate",
    "Success rate median",
    "Mean success rate (stress period)",
    "Success rate median (stress period)",
    "Mean node power consumption",
    "Max node power consumption",
    "Tot. rejected requests",
];

/// A folder for each load, and one for each seed around them if there are several; tables of all cases on top.
pub fn write(folder: &Path, cases: &[Case], model: &NodeModel, groups: &Groups) -> Result<()> {
    let several = cases.iter().any(|case| case.instance.seed != cases[0].instance.seed);
    for case in cases {
        let load = folder_name(&case.instance, several);
        let inside = folder.join(load);
        fs::create_dir_all(&inside).with_context(|| format!("cannot create {}", inside.display()))?;
        write_case(&inside, case, model, groups)?;
    }
    experiments(&folder.join("experiment_results.csv"), cases)?;
    mean_results(&folder.join("experiment_mean_results.csv"), cases)
}

/// Where a case goes.
pub fn folder_name(instance: &Instance, several_seeds: bool) -> String {
    let load = format!("load_{}", instance.overloaded_percent);
    if several_seeds { format!("seed_{}/{load}", instance.seed) } else { load }
}

fn write_case(folder: &Path, case: &Case, model: &NodeModel, groups: &Groups) -> Result<()> {
    let instance = serde_json::to_string_pretty(&case.instance.to_json(groups))?;
    let file = folder.join("instance.json");
    fs::write(&file, instance + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    let indices = case.outcomes.iter().map(|outcome| row([outcome.strategy.to_string()], &outcome.indices));
    table(&folder.join("index_comparison.csv"), header([""]), indices)?;
    node_predictions(&folder.join("node_predictions.csv"), &case.instance, model, groups)?;
    forward_tables(&folder.join("forward_tables.csv"), case)?;
    success_rates(&folder.join("success_rates.csv"), case)
}

/// The state of every node before anything is forwarded.
fn node_predictions(file: &Path, instance: &Instance, model: &NodeModel, groups: &Groups) -> Result<()> {
    let header = [
        "minute",
        "node",
        "node_type",
        "rate_HIGH",
        "rate_LOW",
        "rate_MEDIUM",
        "cpu_usage_node",
        "ram_usage_node",
        "power_usage_node",
        "overloaded_node",
    ];
    let row = |minute: usize, node: usize| {
        let (name, node) = (node_name(node), &instance.nodes[node]);
        let rates = node.group_rates(minute, groups);
        let state = model.state(node.kind, rates);
        let mut row = vec![minute.to_string(), name, kind_name(node.kind).to_owned()];
        row.extend(Group::ALL.map(|group| rates.of(group).to_string()));
        row.extend([state.usage.cpu, state.usage.ram, state.usage.power].map(python));
        row.push(u8::from(state.overloaded).to_string());
        row
    };
    let rows = (0..MINUTES).flat_map(|minute| (0..instance.nodes.len()).map(move |node| row(minute, node)));
    table(file, header.map(str::to_owned).to_vec(), rows)
}

/// What is sent where; flows of nothing are left out.
fn forward_tables(file: &Path, case: &Case) -> Result<()> {
    let header = ["strategy", "minute", "function", "from", "to", "rate"].map(str::to_owned).to_vec();
    table(file, header, case.outcomes.iter().flat_map(|outcome| flows(outcome, &case.instance)))
}

fn flows<'a>(outcome: &'a PredictedOutcome, instance: &'a Instance) -> impl Iterator<Item = Vec<String>> + 'a {
    outcome.sent.iter().enumerate().flat_map(move |(minute, sent)| {
        let mut rows: Vec<_> = (sent.iter().enumerate())
            .flat_map(|(from, flows)| flows.iter().map(move |flow| (from, flow)))
            .filter(|(_, flow)| flow.rate > 0)
            .map(|(from, flow)| (&instance.nodes[from].functions[flow.function], from, flow.to, flow.rate))
            .collect();
        rows.sort_unstable();
        let row = move |(function, from, to, rate): (&dfaas_agent::name::FunctionName, usize, usize, u32)| {
            let (strategy, minute) = (outcome.strategy.to_string(), minute.to_string());
            vec![strategy, minute, function.to_string(), node_name(from), node_name(to), rate.to_string()]
        };
        rows.into_iter().map(row).collect::<Vec<_>>()
    })
}

/// By strategy and minute: the share served of each function, and how many nodes had too much.
fn success_rates(file: &Path, case: &Case) -> Result<()> {
    let functions = super::analysis::functions(&case.instance);
    let mut header = vec!["strategy".to_owned(), "minute".to_owned(), "overloaded_nodes".to_owned()];
    header.extend(functions.iter().map(ToString::to_string));
    let rows = case.outcomes.iter().flat_map(|outcome| {
        (0..MINUTES).map(move |minute| {
            let mut row = vec![outcome.strategy.to_string(), minute.to_string()];
            row.push(outcome.overloaded_nodes[minute].to_string());
            row.extend(outcome.success_rates[minute].iter().map(ToString::to_string));
            row
        })
    });
    table(file, header, rows)
}

fn experiments(file: &Path, cases: &[Case]) -> Result<()> {
    let rows = cases.iter().flat_map(|case| {
        let Instance { seed, overloaded_percent, .. } = case.instance;
        case.outcomes.iter().map(move |outcome| {
            row([seed.to_string(), overloaded_percent.to_string(), outcome.strategy.to_string()], &outcome.indices)
        })
    });
    table(file, header(["Seed", "Max overloaded percentage", "Strategy"]), rows)
}

fn mean_results(file: &Path, cases: &[Case]) -> Result<()> {
    let means = means(cases);
    let rows = means.iter().flat_map(|(load, strategies)| {
        strategies.iter().map(move |(strategy, indices)| row([load.to_string(), strategy.to_string()], indices))
    });
    table(file, header(["Max overloaded percentage", "Strategy"]), rows)
}

fn header<const N: usize>(first: [&str; N]) -> Vec<String> {
    first.into_iter().chain(TITLES).map(str::to_owned).collect()
}

fn row<const N: usize>(first: [String; N], indices: &Indices) -> Vec<String> {
    first.into_iter().chain(indices.values().map(python)).collect()
}

/// Python writes a decimal point into every float, and so does this.
fn python(value: f64) -> String {
    format!("{value:?}")
}

fn table(file: &Path, header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let mut writer = csv::Writer::from_path(file).with_context(|| format!("cannot write {}", file.display()))?;
    for row in std::iter::once(header).chain(rows) {
        writer.write_record(row).with_context(|| format!("cannot write {}", file.display()))?;
    }
    writer.flush().with_context(|| format!("cannot write {}", file.display()))
}
