//! The commands on the original's data, as a user types them.

#![cfg(feature = "simulate")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "reference/data.rs"]
mod reference;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use dfaas_simulate::replay::indices::NAMES;
use reference::{assert_close, data, json};
use serde_json::Value;

fn agent(args: &[&str]) -> Output {
    Command::new(std::env::var_os("CARGO_BIN_EXE_dfaas-agent").expect("cargo sets it")).args(args).output().unwrap()
}

fn succeeds(args: &[&str]) -> String {
    let output = agent(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The complaint of a command that refuses its input.
fn refuses(args: &[&str]) -> String {
    let output = agent(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?} printed something");
    error
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[ignore = "needs the reference data"]
fn replay_prints_means_and_leaves_the_files_of_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let (out, weights) = (folder.path().join("out"), folder.path().join("weights.json"));
    let (runs, instance) = (data("simulation_data"), data("sim_golden/n5_s83/instance.json"));
    let args = ["simulate", "replay", "--data", text(&runs), "--instance", text(&instance), "--strategy"];
    let more = ["base,random,static,empirical", "--repetitions", "3", "--seed", "9", "--out", text(&out), "--json"];
    let args: Vec<&str> = args.into_iter().chain(more).chain(["--weights", text(&weights)]).collect();
    let printed: Value = serde_json::from_str(&succeeds(&args)).unwrap();
    let mut names: Vec<&String> = printed.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["base_strategy", "dfaas_static_strategy", "empirical_strategy", "random_strategy"]);
    for name in NAMES {
        assert!(printed["random_strategy"][name].is_number(), "{name}");
    }
    assert_close(printed["base_strategy"]["Mean success rate"].as_f64().unwrap(), 99.462_766_395_003_07, 1e-9, "base");

    assert_alike(&json(&weights), &json(&data("sim_golden/n5_s83/expected_weights.json")), "");
    let config = json(&data("sim_golden/n5_s83/complete_config.json"));
    let written = sorted(json(&out.join("final_config/config3.json")));
    assert_alike(&written, &sorted(config["3"].clone()), "config3");
    let table = out.join("reports/random_strategy/minute_2/funca.csv");
    assert_eq!(fs::read_to_string(table).unwrap().lines().next(), Some("\tnode_0\tnode_1\tnode_2\tnode_3\tnode_4"));
    for file in
        ["index_comparison.csv", "iteration_2.csv", "experiment_results.csv", "final_comparison.txt", "plots/graph.svg"]
    {
        assert!(out.join(file).is_file(), "{file}");
    }
    let analysed = succeeds(&["simulate", "analyse", text(&out.join("reports/base_strategy")), "--json"]);
    assert_alike(&serde_json::from_str(&analysed).unwrap(), &printed["base_strategy"], "base_strategy");

    let refused = refuses(&args);
    assert!(refused.contains("--force"), "{refused}");
    succeeds(&args.into_iter().chain(["--force"]).collect::<Vec<_>>());
}

/// The shape exactly, numbers to their last digits.
fn assert_alike(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<std::collections::BTreeSet<_>>();
            assert_eq!(keys(found), keys(expected), "{place}");
            for (key, value) in found {
                assert_alike(value, &expected[key], &format!("{place}/{key}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}");
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_alike(found, expected, &format!("{place}/{i}"));
            }
        }
        (Value::String(found), Value::String(expected)) => assert_eq!(found, expected, "{place}"),
        _ => assert_close(found.as_f64().unwrap(), expected.as_f64().unwrap(), 1e-12, place),
    }
}

/// Order of functions does not matter.
fn sorted(mut config: Value) -> Value {
    for node in config.as_object_mut().unwrap().values_mut() {
        node["functions"].as_array_mut().unwrap().sort_by_key(|f| f["name"].as_str().map(str::to_owned));
    }
    config
}

#[test]
#[ignore = "needs the reference data"]
fn bad_instances_are_refused_without_a_trace() {
    let good = json(&data("sim_golden/n5_s83/instance.json"));
    let cases: [(&str, Value, &str); 4] = [
        (
            "/node_1/exp_history/2/functions/0/name",
            "nmap".into(),
            "node_1.exp_history[2].functions[0].name is \"nmap\"",
        ),
        ("/node_1/exp_history/2/functions/0/invoc_rate", (-4).into(), "functions[0].invoc_rate is -4"),
        ("/node_1/neighbours/0", "node_77".into(), "node_1.neighbours[0] is \"node_77\""),
        ("/node_1/neighbours/0", "node_1".into(), "node_1.neighbours[0] is \"node_1\""),
    ];
    for (pointer, value, expected) in cases {
        let mut instance = good.clone();
        *instance.pointer_mut(pointer).unwrap() = value;
        assert_refused(&instance.to_string(), expected);
    }
    let mut instance = good;
    *instance.pointer_mut("/node_1/exp_history/2/functions/0/invoc_rate").unwrap() = "NaN".into();
    assert_refused(&instance.to_string().replace("\"NaN\"", "NaN"), "functions[0].invoc_rate is \"NaN\"");
}

fn assert_refused(instance: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("instance.json");
    fs::write(&file, instance).unwrap();
    let (runs, out) = (data("simulation_data"), folder.path().join("out"));
    let refused =
        refuses(&["simulate", "replay", "--data", text(&runs), "--instance", text(&file), "--out", text(&out)]);
    assert!(refused.contains(text(&file)) && refused.contains(expected), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the instance is there");
}

#[test]
#[ignore = "needs the reference data"]
fn generated_instances_can_be_written_read_and_give_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let (out, again, runs) = (folder.path().join("a"), folder.path().join("b"), data("simulation_data"));
    let common = ["simulate", "replay", "--data", text(&runs), "--strategy", "base,recalc,random", "--seed", "4"];
    let with = |more: &[&str]| succeeds(&common.iter().chain(more).copied().collect::<Vec<_>>());
    let generated = with(&["--nodes", "25", "--edge-probability", "0.1", "--out", text(&out), "--json"]);
    let instance = out.join("instance.json");
    let read = with(&["--instance", text(&instance), "--out", text(&again), "--json"]);
    assert_eq!(generated, read);
    assert_eq!(json(&instance), json(&again.join("instance.json")));
}

#[test]
#[ignore = "needs the reference data"]
fn queue_and_environment_write_the_recorded_columns() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    let queue = data("rl/perfmodel_golden.csv");
    succeeds(&["simulate", "queue", "--csv", text(&queue), "--out", text(&out)]);
    let header = |path: &Path| fs::read_to_string(path).unwrap().lines().next().map(str::to_owned);
    assert_eq!(header(&out), header(&queue));
    let episode = data("rl/env_episode_three.csv");
    succeeds(&["simulate", "environment", "--topology", "three", "--replay", text(&episode), "--out", text(&out)]);
    assert_eq!(header(&out), header(&episode));
    let refused =
        refuses(&["simulate", "environment", "--topology", "five", "--replay", text(&episode), "--out", "x.csv"]);
    assert!(refused.contains("line 2, neighbors is \"node_1;node_2\", expected node_1;node_2;node_3"), "{refused}");
}

#[test]
#[ignore = "needs the reference data"]
fn the_archived_instance_is_replayed_in_both_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let (runs, weights) = (data("simulation_data"), folder.path().join("weights.json"));
    for layout in ["instance.json", "instance_new_format.json"] {
        let instance = data("sim_archive_2021-10-07").join(layout);
        let args = ["simulate", "replay", "--data", text(&runs), "--instance", text(&instance), "--json"];
        let printed = succeeds(&args.into_iter().chain(["--weights", text(&weights)]).collect::<Vec<_>>());
        let printed: Value = serde_json::from_str(&printed).unwrap();
        let success = printed["base_strategy"]["Mean success rate"].as_f64().unwrap();
        assert_close(success, 95.732_609_615_769_96, 1e-9, layout);
        assert_alike(&json(&weights), &json(&data("sim_archive_2021-10-07/expected_weights.json")), layout);
    }
}
