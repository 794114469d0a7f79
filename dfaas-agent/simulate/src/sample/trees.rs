//! Made-up models of what a node uses, in the text form of LightGBM: sums of trees that are staircases over one input each.

mod text;

use std::{io::Write as _, path::Path};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{create, write_json};
use text::{Tree, model};

/// Largest rate of each group, high, low and medium use, and the number of the last node type.
const INPUT_MAX: [f64; 4] = [90.0, 570.0, 200.0, 2.0];

/// The input that says the type of node: 0 heavy, 1 mid, 2 light.
const NODE_TYPE: usize = 3;

/// Steps of a staircase.
const STEPS: usize = 32;

/// What an idle node uses and what each call per second of a group adds, on a heavy, mid and light node.
struct Metric {
    name: &'static str,
    unit: &'static str,
    idle: f64,
    per_call: [f64; 3],
    of_type: [f64; 3],
}

const METRICS: [Metric; 3] = [
    Metric {
        name: "cpu_usage_node",
        unit: "percent of one core",
        idle: 60.0,
        per_call: [2.6, 0.4, 0.9],
        of_type: [0.9, 1.0, 1.2],
    },
    Metric {
        name: "ram_usage_node",
        unit: "byte",
        idle: 2.7e9,
        per_call: [1.2e7, 1.5e6, 3e6],
        of_type: [1.0, 1.0, 0.9],
    },
    Metric {
        name: "power_usage_node",
        unit: "microwatt",
        idle: 1.4e5,
        per_call: [1.6e4, 2.2e3, 5e3],
        of_type: [1.2, 1.0, 0.7],
    },
];

/// Percent of one core at which a node of a type counts as overloaded.
const CPU_LIMIT: [f64; 3] = [460.0, 290.0, 150.0];

/// Families of models with what they predict, of the mean.
const FAMILIES: [(&str, &str, f64); 3] =
    [("regression", "regression", 1.0), ("quantile005", "quantile", 0.9), ("quantile095", "quantile", 1.1)];

pub(super) fn write(folder: &Path) -> Result<()> {
    create(&folder.join("models"))?;
    write_json(&folder.join("scalers.json"), &scalers())?;
    write_json(
        &folder.join("group_list.json"),
        &json!({"0": ["eat-memory", "nmap"], "1": ["env", "figlet", "shasum"], "2": ["curl"]}),
    )?;
    for metric in &METRICS {
        for (family, objective, factor) in FAMILIES {
            let trees = usage_trees(metric, factor);
            write_model(folder, &format!("{}.{family}", metric.name), &model(objective, &trees))?;
        }
    }
    write_model(folder, "overloaded_node", &model("binary sigmoid:1", &overload_trees()))
}

fn write_model(folder: &Path, name: &str, text: &str) -> Result<()> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes())?;
    let file = folder.join("models").join(format!("{name}.lgb.txt.gz"));
    std::fs::write(&file, packed.finish()?).with_context(|| format!("cannot write {}", file.display()))
}

fn scalers() -> Value {
    let mut outputs = json!({});
    for metric in &METRICS {
        outputs[metric.name] = json!({"min": metric.idle, "max": metric.idle + metric.range(), "unit": metric.unit});
    }
    let features = ["rate_group_HIGH_USAGE", "rate_group_LOW_USAGE", "rate_group_MEDIUM_USAGE", "node_type"];
    json!({"x": {"feature_order": features, "min": [0, 0, 0, 0], "max": INPUT_MAX}, "y": outputs})
}

impl Metric {
    /// From idle to the largest rate of every group.
    fn range(&self) -> f64 {
        self.per_call.iter().zip(INPUT_MAX).map(|(per_call, most)| per_call * most).sum()
    }

    /// Added by the largest rate of a group.
    fn most(&self, group: usize, node_type: usize) -> f64 {
        self.per_call[group] * INPUT_MAX[group] * self.of_type[node_type]
    }
}

/// One tree for each group; their sum is the scaled output.
fn usage_trees(metric: &Metric, factor: f64) -> Vec<Tree> {
    let tree =
        |group| by_node_type(|node_type| staircase(group, factor * metric.most(group, node_type) / metric.range()));
    (0..3).map(tree).collect()
}

/// The sum is positive beyond the limit: far below it, one step above.
fn overload_trees() -> Vec<Tree> {
    let cpu = &METRICS[0];
    let steepness = 0.2;
    let mut trees: Vec<Tree> = (0..3)
        .map(|group| by_node_type(|node_type| staircase(group, steepness * cpu.most(group, node_type))))
        .collect();
    trees.push(by_node_type(|node_type| Tree::Leaf(steepness * (cpu.idle - CPU_LIMIT[node_type]))));
    trees
}

fn by_node_type(tree: impl Fn(usize) -> Tree) -> Tree {
    // Halfway between 0, 1 and 2, scaled.
    let light = Tree::split(NODE_TYPE, 0.75, tree(1), tree(2));
    Tree::split(NODE_TYPE, 0.25, tree(0), light)
}

/// From 0 to `top` as the input goes from 0 to 1.
fn staircase(input: usize, top: f64) -> Tree {
    fn between(input: usize, top: f64, steps: std::ops::Range<usize>) -> Tree {
        if steps.len() == 1 {
            return Tree::Leaf(top * steps.start as f64 / (STEPS - 1) as f64);
        }
        let middle = steps.start + steps.len() / 2;
        let threshold = (middle as f64 - 0.5) / (STEPS - 1) as f64;
        let (low, high) = (between(input, top, steps.start..middle), between(input, top, middle..steps.end));
        Tree::split(input, threshold, low, high)
    }
    between(input, top, 0..STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfaas_agent::forecast::{
        GroupRates, NodeType,
        folder::ModelFolder,
        models::{Family, OverloadModel, UsageModels, features},
    };

    fn written() -> (tempfile::TempDir, ModelFolder) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let models = ModelFolder::open(folder.path()).unwrap();
        (folder, models)
    }

    #[test]
    fn the_models_predict_what_they_were_made_from() {
        let (_guard, folder) = written();
        let usage = UsageModels::load(&folder, Family::Regression).unwrap();
        let load = GroupRates { high: 45.0, low: 100.0, medium: 20.0 };
        let found = usage.predict(&features(load, NodeType::Mid));
        let expected = 60.0 + 45.0 * 2.6 + 100.0 * 0.4 + 20.0 * 0.9;
        // Half a step of each staircase.
        let step: f64 = METRICS[0].range() / (STEPS - 1) as f64;
        assert!((found.cpu - expected).abs() <= step / 2.0 + 0.01, "{found:?}, expected {expected}");
        let idle = usage.predict(&features(GroupRates::default(), NodeType::Light));
        assert_eq!((idle.cpu, idle.ram, idle.power), (60.0, 2.7e9, 1.4e5));
    }

    #[test]
    fn a_node_is_overloaded_beyond_its_limit_of_cpu() {
        let (_guard, folder) = written();
        let model = OverloadModel::load(&folder).unwrap();
        let overloaded =
            |high, node_type| model.overloaded(&features(GroupRates { high, ..GroupRates::default() }, node_type));
        assert!(!overloaded(0.0, NodeType::Light) && !overloaded(20.0, NodeType::Light));
        assert!(overloaded(45.0, NodeType::Light) && !overloaded(45.0, NodeType::Heavy));
    }
}
