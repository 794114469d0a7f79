//! Runs as if measured: what the queue model says of a node whose load rises and falls within seven minutes.

use std::path::Path;

use anyhow::Result;
use rand::{Rng, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{create, write_json};
use crate::queue::{Load, steady_state};

const RUNS_OF_A_TYPE: usize = 4;

/// Calls per second that one replica serves, by type of node; largest number of replicas; service time.
const FUNCTIONS: [(&str, [u32; 3], u32, f64); 3] =
    [("funca", [15, 20, 30], 5, 0.2), ("qrcode", [3, 5, 10], 2, 1.0), ("ocr", [1, 3, 5], 1, 1.0)];

/// Load of each minute, of the run's own; the first minute is idle.
const SHAPE: [f64; 7] = [0.0, 0.4, 1.0, 1.0, 0.7, 0.4, 0.0];

/// A cold container takes this much longer; an idle one is kept for this long.
const COLD_FACTOR: f64 = 3.0;
const IDLE_S: f64 = 60.0;

struct Function {
    name: &'static str,
    replicas: u32,
    max_rate: u32,
    service_s: f64,
    peak: f64,
}

pub(super) fn write(folder: &Path, seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    for node_type in 0..3 {
        let name = format!("node_{}", node_type + 1);
        create(&folder.join(&name))?;
        for number in 0..RUNS_OF_A_TYPE {
            write_json(&folder.join(&name).join(format!("{number}.json")), &run(&name, node_type, &mut rng))?;
        }
    }
    Ok(())
}

fn run(node: &str, node_type: usize, rng: &mut impl Rng) -> Value {
    let functions = FUNCTIONS.map(|(name, rates, most, service_s)| {
        // The first always runs, so that there is something to compare.
        let replicas = rng.random_range(u32::from(name == "funca")..=most);
        let max_rate = replicas * rates[node_type];
        // From light load to far more than the node can serve.
        Function { name, replicas, max_rate, service_s, peak: f64::from(max_rate) * rng.random_range(0.2..1.6) }
    });
    let mut input = json!({ "node": node });
    for function in &functions {
        input[format!("{}_num", function.name)] = function.replicas.into();
        input[format!("{}_wl", function.name)] = (function.peak as u32).into();
    }
    json!({"input": input, "output": SHAPE.map(|share| minute(&functions, share))})
}

fn minute(functions: &[Function], share: f64) -> Value {
    let deployed = functions.iter().filter(|function| function.replicas > 0);
    let states: Vec<Value> = deployed.map(|function| state(function, (function.peak * share) as u32)).collect();
    let sum = |key: &str| states.iter().filter_map(|state| state[key].as_f64()).sum::<f64>();
    json!({
        "ram_usage": (0.2 + sum("ram_xfunc")).min(1.0),
        "cpu_usage": (0.1 + sum("cpu_xfunc")).min(1.0),
        "functions": states,
    })
}

fn state(function: &Function, rate: u32) -> Value {
    let capacity = f64::from(function.max_rate) * function.service_s;
    let mean = steady_state(&Load {
        arrival_rate: f64::from(rate),
        warm_service_s: function.service_s,
        cold_service_s: function.service_s * COLD_FACTOR,
        idle_before_kill_s: IDLE_S,
        maximum_concurrency: capacity.ceil().max(1.0) as usize,
        faster: true,
    });
    json!({
        "name": function.name,
        "service_count": function.replicas,
        "invoc_rate": rate,
        "prom_invoc_rate": f64::from(rate) - mean.rejection_rate,
        "max_rate": function.max_rate,
        "margin": function.max_rate.saturating_sub(rate),
        "state": if rate >= function.max_rate { "Overload" } else { "Underload" },
        "afet": if rate == 0 { 0.001 } else { mean.response_s },
        "cpu_xfunc": mean.running / capacity * 0.25,
        "ram_xfunc": mean.servers_total / capacity * 0.1,
    })
}
