//! `dfaas-agent simulate environment`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, value_parser};
use serde_json::json;

use super::{Json, Seed, print, print_json};
use crate::environment::{
    Parameters,
    arrivals::Arrivals,
    episode::{self, EpisodeSpec, Totals},
    policy::Policy,
    topology::Topology,
};
use dfaas_base::{BadInput, whole_file};

const MAX_STEPS: i64 = 1_000_000;

/// Let agents choose, step by step, where their calls go
#[derive(Debug, Args)]
#[command(
    long_about = "In every step each agent splits its input into what it serves, what it forwards to each neighbour and what \
                  it refuses. Nodes serve what reaches them by the queue model; what they reject comes back to the \
                  senders. Plays a recorded episode again or makes one up with a baseline policy."
)]
pub(super) struct Environment {
    /// two, three, star, five, or a file: lines with a node and its neighbours, or JSON with lists of neighbours
    #[arg(long, value_name = "NAME|FILE")]
    topology: String,
    /// Episode to play again; its columns step, agent, input_rate, action, neighbors are read
    #[arg(long, value_name = "IN", conflicts_with_all = ["arrivals", "policy", "steps", "seed"])]
    replay: Option<PathBuf>,
    /// sinusoidal, normal, constant, linear-growth, double-linear-growth, step-change, or the file of a trace
    #[arg(long, value_name = "NAME|FILE", default_value = "sinusoidal")]
    arrivals: String,
    /// all-local, random or greedy
    #[arg(long, value_name = "NAME", default_value = "all-local")]
    policy: String,
    /// Length of the episode
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(1..=MAX_STEPS), default_value_t = 288)]
    steps: i64,
    #[command(flatten)]
    seed: Seed,
    #[command(flatten)]
    nodes: NodeNumbers,
    /// Table of the episode; replaced if it exists
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    json: Json,
}

impl Environment {
    pub(super) fn run(self) -> Result<ExitCode> {
        let topology = Topology::read(&self.topology)?;
        let parameters = self.nodes.parameters()?;
        let (table, totals) = if let Some(file) = &self.replay {
            episode::replay(&topology, parameters, file)?
        } else {
            let plan = EpisodeSpec {
                arrivals: Arrivals::read(&self.arrivals)?,
                policy: Policy::parse(&self.policy)?,
                steps: self.steps as usize,
                seed: self.seed.seed.into(),
            };
            episode::generate(&topology, parameters, &plan)?
        };
        whole_file::write(&self.out, |file| Ok(file.write_all(table.as_bytes())?))?;
        report(&totals, self.json.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn report(totals: &Totals, as_json: bool) -> Result<()> {
    if as_json {
        return print_json(&json!({
            "agent_steps": totals.agent_steps,
            "offered": totals.offered,
            "refused": totals.refused,
            "rejected": totals.rejected,
            "lost_percent": totals.lost_percent(),
            "mean_reward": totals.mean_reward(),
        }));
    }
    print(&format!(
        "{} agent steps: {} calls offered, {} refused by agents, {} rejected by nodes ({:.1} % lost), mean reward {:.3}",
        totals.agent_steps,
        totals.offered,
        totals.refused,
        totals.rejected,
        totals.lost_percent(),
        totals.mean_reward()
    ));
    Ok(())
}

/// The numbers of all nodes.
#[derive(Debug, Args)]
struct NodeNumbers {
    /// Service time of a warm container
    #[arg(long, value_name = "S", default_value_t = Parameters::default().warm_service_s)]
    warm_s: f64,
    /// Service time of a cold container
    #[arg(long, value_name = "S", default_value_t = Parameters::default().cold_service_s)]
    cold_s: f64,
    /// Time after which an idle container is removed
    #[arg(long, value_name = "S", default_value_t = Parameters::default().idle_before_kill_s)]
    idle_s: f64,
    /// Containers that a node can run
    #[arg(long, value_name = "N", default_value_t = Parameters::default().maximum_concurrency as f64)]
    concurrency: f64,
    /// Size of a forwarded call
    #[arg(long, value_name = "BYTES", default_value_t = Parameters::default().request_bytes)]
    request_bytes: f64,
    /// Size of its answer
    #[arg(long, value_name = "BYTES", default_value_t = Parameters::default().answer_bytes)]
    answer_bytes: f64,
    /// Delay before the first bit, in each direction
    #[arg(long, value_name = "MS", default_value_t = Parameters::default().access_delay_ms)]
    access_delay_ms: f64,
    /// Bandwidth between neighbours
    #[arg(long, value_name = "MBPS", default_value_t = Parameters::default().bandwidth_mbps)]
    bandwidth_mbps: f64,
}

impl NodeNumbers {
    fn parameters(&self) -> Result<Parameters> {
        for (name, value) in [
            ("warm-s", self.warm_s),
            ("cold-s", self.cold_s),
            ("idle-s", self.idle_s),
            ("bandwidth-mbps", self.bandwidth_mbps),
        ] {
            expect(name, value, value > 0.0 && value.is_finite(), "more than 0")?;
        }
        for (name, value) in [
            ("request-bytes", self.request_bytes),
            ("answer-bytes", self.answer_bytes),
            ("access-delay-ms", self.access_delay_ms),
        ] {
            expect(name, value, value >= 0.0 && value.is_finite(), "0 or more")?;
        }
        let whole = self.concurrency.fract() == 0.0 && (1.0..=1e6).contains(&self.concurrency);
        expect("concurrency", self.concurrency, whole, "a whole number from 1 to 1000000")?;
        Ok(Parameters {
            warm_service_s: self.warm_s,
            cold_service_s: self.cold_s,
            idle_before_kill_s: self.idle_s,
            maximum_concurrency: self.concurrency as usize,
            request_bytes: self.request_bytes,
            answer_bytes: self.answer_bytes,
            access_delay_ms: self.access_delay_ms,
            bandwidth_mbps: self.bandwidth_mbps,
        })
    }
}

fn expect(name: &str, value: f64, is_fit: bool, expected: &str) -> Result<(), BadInput> {
    if is_fit { Ok(()) } else { Err(BadInput(format!("--{name} is {value}, expected {expected}"))) }
}
