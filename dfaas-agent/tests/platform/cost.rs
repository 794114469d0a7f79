//! From the processes of calls to the cost of a call: runner, node state and measured forecaster together.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dfaas_agent::{
    forecast::{
        Forecaster, GroupRates, Load, NodeType,
        measured::Measured,
        node_state::{NodeState, Paths},
    },
    name::FunctionName,
    platform::Platform,
};
use reqwest::StatusCode;
use serde_json::json;

use crate::runner::{Runner, settings};

const COUNT_TO_20_000: &str = "sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'";

#[tokio::test]
async fn the_cost_of_a_call_is_learned_from_the_processes_of_calls() {
    let runner = Runner::with(settings(), COUNT_TO_20_000, json!({})).await;
    let name: FunctionName = "f".parse().unwrap();
    let mut state = NodeState::new(Paths::default());
    let mut measured = Measured::new(300);
    let mut last = Instant::now();
    state.read(last, [&name], &runner.embedded.cpu_times());
    for round in 0..24u32 {
        let calls = round % 4;
        for _ in 0..calls {
            assert_eq!(runner.call("").send().await.unwrap().status(), StatusCode::OK);
        }
        // The slower the machine, the lower the rate: also a round without calls takes some time.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = Instant::now();
        let rates = BTreeMap::from([(name.clone(), f64::from(calls) / (now - last).as_secs_f64())]);
        let reading = state.read(now, [&name], &runner.embedded.cpu_times());
        assert!(reading.functions[&name].cpu.is_some() && reading.node.ram.is_some());
        measured.learn(&reading, &rates).unwrap();
        last = now;
    }
    let counts = runner.counts();
    let percent_per_call = 100.0 * counts.cpu.as_secs_f64() / counts.started as f64;
    let load = [(name, 10.0)];
    let busy = measured.usage(NodeType::Mid, &Load { groups: GroupRates::default(), functions: &load }).unwrap();
    let cost = (busy.cpu - measured.idle().cpu) / 10.0;
    // What the agent and the kernel spend on a call comes on top, and other programs disturb.
    assert!(cost > 0.5 * percent_per_call, "{cost} % of a core per call and second, processes {percent_per_call}");
    assert!(measured.quality().cpu_rms.is_some_and(f64::is_finite));
    eprintln!("{cost:.2} % of a core per call and second, of which processes {percent_per_call:.2}");
}
