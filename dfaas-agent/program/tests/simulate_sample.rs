//! Every command on the made-up data set, as its README.md and the documentation say.

#![cfg(feature = "simulate")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Runs the agent inside a folder.
fn agent(folder: &Path, command: &str) -> Output {
    Command::new(std::env::var_os("CARGO_BIN_EXE_dfaas-agent").expect("cargo sets it"))
        .current_dir(folder)
        .args(command.split(' '))
        .output()
        .unwrap()
}

fn succeeds(folder: &Path, command: &str) -> String {
    let output = agent(folder, command);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, command: &str) -> Value {
    serde_json::from_str(&succeeds(folder, command)).unwrap()
}

fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), "simulate sample set");
    fs::rename(folder.path().join("set"), folder.path().join("moved")).unwrap();
    folder
}

#[test]
fn a_sample_is_not_written_over_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mine")).unwrap();
    let refused = agent(folder.path(), "simulate sample mine");
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(fs::read_dir(folder.path().join("mine")).unwrap().count(), 0);
    succeeds(folder.path(), "simulate sample mine --force");
    assert!(folder.path().join("mine/README.md").is_file());
}

#[test]
fn replay_compares_strategies_and_analyse_finds_the_same_indices() {
    let folder = sample();
    let set = folder.path().join("moved");
    let replay =
        "simulate replay --data runs --instance replay_instance.json --json --repetitions 1 --out result --strategy ";
    let printed =
        json(&set, &format!("{replay}base,random,static,empirical,recalc,static-agent,all-local,recalc-original"));
    let success = |strategy: &str| printed[strategy]["Mean success rate"].as_f64().unwrap();
    assert_eq!(printed.as_object().unwrap().len(), 8);
    assert!(success("base_strategy") < 100.0, "the sample has no excess");
    assert_eq!(success("base_strategy"), success("all_local_strategy"));
    for better in ["dfaas_static_strategy", "empirical_strategy", "recalc_strategy"] {
        assert!(success(better) > success("base_strategy"), "{better}: {printed}");
    }
    let analysed = json(&set, "simulate analyse result/reports --json");
    assert_eq!(analysed, printed);
    let chart = fs::read(set.join("result/plots/success_rate_funca.png")).unwrap();
    assert!(chart.starts_with(b"\x89PNG"));
    let names: BTreeSet<String> = fs::read_dir(set.join("result/plots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 8, "{names:?}");
}

#[test]
fn a_replay_needs_no_output_folder_and_is_the_same_for_the_same_seed() {
    let folder = sample();
    let set = folder.path().join("moved");
    let replay = |seed: u32| {
        json(
            &set,
            &format!(
                "simulate replay --data runs --nodes 12 --edge-probability 0.2 --strategy random --json --seed {seed}"
            ),
        )
    };
    assert_eq!(replay(5), replay(5));
    assert_ne!(replay(5), replay(6));
    assert_eq!(fs::read_dir(&set).unwrap().count(), 9, "nothing was added to the sample");
}

#[test]
fn the_models_predict_and_strategies_that_forward_lose_less() {
    let folder = sample();
    let set = folder.path().join("moved");
    let printed = json(&set, "simulate predict --models forecaster --instance predict_instance.json --json");
    let rejected = |strategy: &str| {
        let indices = printed.as_object().unwrap().iter().find(|(name, _)| name.contains(strategy)).unwrap().1;
        let index =
            indices.as_object().unwrap().iter().find(|(name, _)| name.to_lowercase().contains("reject")).unwrap();
        index.1.as_f64().unwrap()
    };
    assert!(rejected("base") > 0.0, "the sample has no overloaded node: {printed}");
    assert!(rejected("margin") < rejected("base"), "{printed}");

    succeeds(&set, "forecast predict --models forecaster --csv forecast.csv --out usage.csv");
    let mut reader = csv::Reader::from_path(set.join("usage.csv")).unwrap();
    let overloaded: Vec<String> = reader.records().map(|row| row.unwrap()[13].to_owned()).collect();
    assert_eq!(overloaded.len(), 27);
    assert!(overloaded.contains(&"0".to_owned()) && overloaded.contains(&"1".to_owned()), "{overloaded:?}");
}

#[test]
fn the_queue_model_solves_every_row() {
    let folder = sample();
    let set = folder.path().join("moved");
    succeeds(&set, "simulate queue --csv queue.csv --out steady.csv");
    let mut reader = csv::Reader::from_path(set.join("steady.csv")).unwrap();
    let rejected: Vec<f64> = reader.records().map(|row| row.unwrap()[16].parse().unwrap()).collect();
    assert_eq!(rejected.len(), 10);
    assert!(rejected[0] == 0.0 && rejected[9] > 20.0, "{rejected:?}");
}

#[test]
fn an_episode_is_played_again_from_its_inputs() {
    let folder = sample();
    let set = folder.path().join("moved");
    let printed = succeeds(&set, "simulate environment --topology two --replay episode.csv --out played.csv");
    assert!(printed.contains("96 agent steps"), "{printed}");
    let [given, played] = ["episode.csv", "played.csv"].map(|file| fs::read_to_string(set.join(file)).unwrap());
    assert_eq!(given, played);
}

#[test]
fn an_episode_is_made_of_a_trace_and_a_policy() {
    let folder = sample();
    let set = folder.path().join("moved");
    fs::write(set.join("ring.txt"), "a b\nb c\nc a\n").unwrap();
    let run = |policy: &str| {
        let common = "simulate environment --topology ring.txt --arrivals trace.json --steps 27 --out e.csv --json";
        json(&set, &format!("{common} --policy {policy}"))
    };
    let (local, greedy) = (run("all-local"), run("greedy"));
    assert_eq!(local["agent_steps"], 81);
    assert_eq!(local["offered"], greedy["offered"]);
    assert!(greedy["lost_percent"].as_f64() < local["lost_percent"].as_f64(), "{greedy} {local}");
}

#[test]
fn refused_input_leaves_nothing_behind() {
    let folder = sample();
    let set = folder.path().join("moved");
    let before = fs::read_dir(&set).unwrap().count();
    for (command, expected) in [
        ("simulate replay --data runs --instance queue.csv --out r", "queue.csv: not JSON"),
        ("simulate replay --data nowhere --out r", "nowhere"),
        ("simulate replay --data runs --strategy best --out r", "--strategy has \"best\""),
        ("simulate replay --data runs --edge-probability 2 --out r", "--edge-probability is 2"),
        ("simulate queue --csv episode.csv --out r", "episode.csv: column arrival_rate is missing"),
        ("simulate environment --topology six --out r", "--topology is \"six\""),
        ("simulate environment --topology two --policy lazy --out r", "--policy is \"lazy\""),
        ("simulate environment --topology two --concurrency 0 --out r", "--concurrency is 0"),
        ("simulate analyse runs", "runs: no folder minute_0"),
    ] {
        let output = agent(&set, command);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {error}");
        assert!(error.contains(expected), "{command}: {error}");
        assert_eq!(fs::read_dir(&set).unwrap().count(), before, "{command} left something");
    }
}
