//! Recalc in the original's arithmetic against what the prototype's agents printed in 2021: every limit and weight of every
//! half-step.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{collections::BTreeMap, path::PathBuf};

use dfaas_agent::{
    name::{FunctionName, NodeId},
    strategy::{LocalFunction, PeerFunction, PeerView, Snapshot, recalc::Compat},
};

/// Run, agent, time, step; the order of the file's steps is that of these.
type Step = (String, String, String, u8);

/// Run, agent, time and function.
type Observation = (String, String, String, FunctionName);

/// What the prototype printed at one step, by function and peer.
type Rows = BTreeMap<(FunctionName, NodeId), Row>;

/// What the prototype printed of one peer and function.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    limit_in: f64,
    limit_out: f64,
    weight: u32,
}

#[derive(Default)]
struct Recording {
    steps: BTreeMap<Step, Rows>,
    /// Limit and rate.
    observed: BTreeMap<Observation, (Option<f64>, f64)>,
}

#[test]
#[ignore = "needs the reference data"]
fn limits_and_weights_equal_the_recorded_ones_at_every_half_step() {
    let recording = read();
    let mut agents: BTreeMap<(String, String), Compat> = BTreeMap::new();
    let mut compared = 0;
    for (step, rows) in &recording.steps {
        let (run, agent, time, number) = step;
        let key = (run.clone(), agent.clone());
        // Some recordings begin in the middle of a period: what was granted before is not in them.
        if *number == 2 && !agents.contains_key(&key) {
            continue;
        }
        let compat = agents.entry(key).or_default();
        let snapshot = snapshot(&recording, step, rows);
        match number {
            1 => compat.grant(&snapshot),
            _ => compat.weigh(&snapshot),
        }
        for ((function, peer), row) in rows {
            let entry = compat.entry(function, peer);
            let found = (entry.limit_in as f64, entry.weight);
            assert_eq!(found, (row.limit_in, row.weight), "{run} {agent} {time} step {number}: {function} {peer}");
            compared += 1;
        }
    }
    assert_eq!(compared, 1744, "rows of the recording");
}

fn snapshot(recording: &Recording, step: &Step, rows: &Rows) -> Snapshot {
    let (run, agent, time, _) = step;
    let mut snapshot = Snapshot::default();
    for ((function, peer), row) in rows {
        let key = (run.clone(), agent.clone(), time.clone(), function.clone());
        let (max_rate, rate) = recording.observed.get(&key).copied().unwrap_or((Some(0.0), 0.0));
        snapshot.functions.insert(function.clone(), LocalFunction { max_rate, rate, timeout: None });
        let view: &mut PeerView = snapshot.peers.entry(peer.clone()).or_default();
        view.functions.insert(function.clone(), PeerFunction { limit_out: row.limit_out, excess: 0.0 });
    }
    snapshot
}

fn read() -> Recording {
    let mut recording = Recording::default();
    for row in rows("agent_weights.csv") {
        let field = |name: &str| row[name].clone();
        let Ok(number) = row["recalc_step"].parse() else { continue };
        if row["peer"].is_empty() {
            continue;
        }
        let value = |name: &str| row[name].parse().unwrap();
        let step = (field("run"), field("agent"), field("time_utc"), number);
        let row = Row {
            limit_in: value("limit_in_rps"),
            limit_out: value("limit_out_rps"),
            weight: value("weight_pct") as u32,
        };
        let key = (field("function").parse().unwrap(), node(&field("peer")));
        recording.steps.entry(step).or_default().insert(key, row);
    }
    for row in rows("agent_observations.csv") {
        let (quantity, value) = (row["quantity"].as_str(), row["value"].as_str());
        if !["maxrate", "user_rate"].contains(&quantity) {
            continue;
        }
        let value: f64 = value.parse().unwrap();
        let [run, agent, time] = ["run", "agent", "time_utc"].map(|name| row[name].clone());
        let entry = recording.observed.entry((run, agent, time, row["function"].parse().unwrap())).or_default();
        match quantity {
            "maxrate" => entry.0 = Some(value),
            _ => entry.1 = value,
        }
    }
    recording
}

/// The recording calls its nodes node1 to node3.
fn node(name: &str) -> NodeId {
    format!("12D3KooW{name:x>44}").parse().unwrap()
}

fn rows(name: &str) -> Vec<BTreeMap<String, String>> {
    let folder = std::env::var("DFAAS_REFERENCE_DATA").expect("DFAAS_REFERENCE_DATA names the reference data");
    let path = PathBuf::from(folder).join("prototype_2021").join(name);
    let mut reader = csv::Reader::from_path(&path).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}
