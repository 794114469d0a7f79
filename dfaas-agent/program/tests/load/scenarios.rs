//! The commands for several attacks, and for traces.

use std::fs;

use crate::{
    commands::{ended, json, load},
    server,
};

#[test]
fn a_scenario_has_results_of_each_attack_and_of_all() {
    let (address, _) = server::node("127.0.0.1");
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let text = format!(
        r#"
        [[attack]]
        name = "light"
        target = "http://{address}/fast"
        rate = 50
        duration = "400ms"
        thresholds = ["success >= 1"]
        [[attack]]
        name = "mid"
        delay = 0.2
        target = "http://{address}/fail"
        stages = [{{ from = 0, rate = 40, duration = 0.5 }}]
        thresholds = ["success >= 99%", "status_500 >= 10"]
        "#
    );
    fs::write(&file, text).unwrap();
    let args = ["scenario", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let (text, error) = ended(&load(&args, "", &[]), 1);
    assert_eq!(error.trim(), "mid: success >= 99% missed: it is 0");
    assert!(["── light", "── mid", "── all attacks"].iter().all(|title| text.contains(title)), "{text}");
    let summary = json(&out.join("summary.json"));
    assert_eq!(summary["merged"]["planned"], 30);
    assert_eq!(summary["attacks"]["mid"]["by_status"]["500"], 10);
    assert_eq!(json(&out.join("attacks/light/summary.json"))["merged"]["success_rate"], 1.0);
    assert!(out.join("plots/success_by_attack.svg").is_file() && out.join("attacks/mid/plots").is_dir());
}

#[test]
fn a_bad_scenario_is_named_with_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    fs::write(&file, "[[attack]]\nname = \"a\"\ntarget = \"http://a/\"\nrate = \"much\"\nduration = 1\n").unwrap();
    let (_, error) = ended(&load(&["scenario", file.to_str().unwrap()], "", &[]), 2);
    assert!(["bad.toml", "line 4", "rate", "much", "expected"].iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn the_variables_of_the_operator_are_a_scenario() {
    let (address, _) = server::node("127.0.0.1");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (node, target) = (address.to_string(), format!("http://{address}/fast;http://{address}/echo"));
    let environment = [
        ("NODES", node.as_str()),
        ("ATTACKS_NAME", "one;two"),
        ("ATTACKS_TARGET", &target),
        ("ATTACKS_METHOD", "GET;POST"),
        ("ATTACKS_BODY", ";Hello!"),
        ("ATTACKS_RATE", "100;50"),
        ("ATTACKS_DURATION", "0.005;0.01"),
        ("WAIT_TIME", "0"),
        ("SKIP_PLOTS", "1"),
    ];
    ended(&load(&["scenario", "--from-env", "--out", out.to_str().unwrap()], "", &environment), 0);
    let summary = json(&out.join("summary.json"));
    assert_eq!(
        (&summary["attacks"]["one"]["planned"], &summary["attacks"]["two"]["planned"]),
        (&30.into(), &30.into())
    );
    assert_eq!(summary["merged"]["success_rate"], 1.0);
    assert!(!out.join("plots").exists());
    let (_, error) = ended(&load(&["scenario", "--from-env"], "", &environment[2..]), 2);
    assert!(error.contains("ATTACKS_NAME is not set"), "{error}");
}

#[test]
fn a_trace_without_the_node_is_named_with_those_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.json");
    fs::write(&file, r#"{"0": {"node_a": [1], "node_b": [2]}}"#).unwrap();
    let (_, error) = ended(&load(&["trace", file.to_str().unwrap(), "--node", "node_c"], "", &[]), 2);
    assert!(error.contains("trace.json") && error.contains("expected one of node_a, node_b"), "{error}");
    let (_, error) = ended(&load(&["trace", file.to_str().unwrap(), "--stage-builder", "Fast"], "", &[]), 2);
    assert!(error.contains("OneMinuteWindow"), "{error}");
}
