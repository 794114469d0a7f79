//! Inputs of the queue model and of the environment.

use anyhow::Result;
use serde_json::{Value, json};

use crate::environment::{
    Parameters,
    arrivals::Arrivals,
    episode::{EpisodeSpec, generate},
    policy::Policy,
    topology::Topology,
};

pub(super) fn queue() -> String {
    let header =
        "arrival_rate,warm_service_time,cold_service_time,idle_time_before_kill,maximum_concurrency,faster_solution";
    let rows = [1, 5, 20, 60, 80].map(|rate| format!("{rate},15,30,600,1000,1\n{rate},0.2,0.5,30,10,0"));
    format!("{header}\n{}\n", rows.join("\n"))
}

/// Two agents that choose at random.
pub(super) fn episode(seed: u64) -> Result<String> {
    let topology = Topology::read("two")?;
    let plan = EpisodeSpec { arrivals: Arrivals::Sinusoidal, policy: Policy::Random, steps: 48, seed };
    Ok(generate(&topology, Parameters::default(), &plan)?.0)
}

/// One function on two nodes that take turns, nine windows.
pub(super) fn trace() -> Value {
    let up_and_down = [10, 20, 40, 60, 80, 60, 40, 20, 10];
    let down_and_up = up_and_down.map(|rate| 90 - rate);
    json!({"figlet": {"0": up_and_down, "1": down_and_up}})
}
