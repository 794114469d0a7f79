//! `dfaas-agent simulate environment`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;

use super::{json as json_flag, path, print, print_json, seed};
use crate::environment::{
    Parameters,
    arrivals::Arrivals,
    episode::{self, EpisodeSpec, Totals},
    policy::Policy,
    topology::Topology,
};
use dfaas_base::{BadInput, whole_file};

/// Options for the numbers of all nodes: name, value, help.
const NUMBERS: [(&str, &str, &str); 8] = [
    ("warm-s", "S", "Service time of a warm container"),
    ("cold-s", "S", "Service time of a cold container"),
    ("idle-s", "S", "Time after which an idle container is removed"),
    ("concurrency", "N", "Containers that a node can run"),
    ("request-bytes", "BYTES", "Size of a forwarded call"),
    ("answer-bytes", "BYTES", "Size of its answer"),
    ("access-delay-ms", "MS", "Delay before the first bit, in each direction"),
    ("bandwidth-mbps", "MBPS", "Bandwidth between neighbours"),
];

const MAX_STEPS: i64 = 1_000_000;

pub(super) fn command() -> Command {
    let defaults = values(&Parameters::default()).map(|value| value.to_string());
    let numbers = NUMBERS.into_iter().zip(defaults).map(|((name, value, help), default)| {
        Arg::new(name).long(name).value_name(value).value_parser(value_parser!(f64)).default_value(default).help(help)
    });
    Command::new("environment")
        .about("Let agents choose, step by step, where their calls go")
        .long_about(
            "In every step each agent splits its input into what it serves, what it forwards to each neighbour and what it \
             refuses. Nodes serve what reaches them by the queue model; what they reject comes back to the senders. Plays a \
             recorded episode again or makes one up with a baseline policy.",
        )
        .arg(Arg::new("topology").long("topology").value_name("NAME|FILE").required(true).help(
            "two, three, star, five, or a file: lines with a node and its neighbours, or JSON with lists of neighbours",
        ))
        .arg(
            path("replay", "IN")
                .conflicts_with_all(["arrivals", "policy", "steps", "seed"])
                .help("Episode to play again; its columns step, agent, input_rate, action, neighbors are read"),
        )
        .arg(Arg::new("arrivals").long("arrivals").value_name("NAME|FILE").default_value("sinusoidal").help(
            "sinusoidal, normal, constant, linear-growth, double-linear-growth, step-change, or the file of a trace",
        ))
        .arg(
            Arg::new("policy").long("policy").value_name("NAME").default_value("all-local").help("all-local, random or greedy"),
        )
        .arg(
            Arg::new("steps")
                .long("steps")
                .value_name("N")
                .value_parser(value_parser!(i64).range(1..=MAX_STEPS))
                .default_value("288")
                .help("Length of the episode"),
        )
        .arg(seed())
        .args(numbers)
        .arg(path("out", "OUT").required(true).help("Table of the episode; replaced if it exists"))
        .arg(json_flag())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let text = |name| args.get_one::<String>(name).map_or("", String::as_str);
    let topology = Topology::read(text("topology"))?;
    let parameters = parameters(args)?;
    let (table, totals) = if let Some(file) = args.get_one::<PathBuf>("replay") {
        episode::replay(&topology, parameters, file)?
    } else {
        let plan = EpisodeSpec {
            arrivals: Arrivals::read(text("arrivals"))?,
            policy: Policy::parse(text("policy"))?,
            steps: args.get_one::<i64>("steps").map_or(288, |steps| *steps as usize),
            seed: args.get_one::<u32>("seed").copied().unwrap_or(1).into(),
        };
        episode::generate(&topology, parameters, &plan)?
    };
    let out = args.get_one::<PathBuf>("out").context("no output")?;
    whole_file::write(out, |file| Ok(file.write_all(table.as_bytes())?))?;
    report(&totals, args.get_flag("json"))?;
    Ok(ExitCode::SUCCESS)
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

/// In the order of [`NUMBERS`].
fn values(parameters: &Parameters) -> [f64; 8] {
    [
        parameters.warm_service_s,
        parameters.cold_service_s,
        parameters.idle_before_kill_s,
        parameters.maximum_concurrency as f64,
        parameters.request_bytes,
        parameters.answer_bytes,
        parameters.access_delay_ms,
        parameters.bandwidth_mbps,
    ]
}

fn parameters(args: &ArgMatches) -> Result<Parameters> {
    let number = |name: &str| args.get_one::<f64>(name).copied().unwrap_or(f64::NAN);
    for (name, ..) in NUMBERS {
        let (value, may_be_0) = (number(name), name.ends_with("bytes") || name == "access-delay-ms");
        let valid = value.is_finite() && (value > 0.0 || may_be_0 && value == 0.0);
        if !valid || name == "concurrency" && !(value.fract() == 0.0 && value <= 1e6) {
            let least = if may_be_0 { "0 or more" } else { "more than 0" };
            let expected = if name == "concurrency" { "a whole number from 1 to 1000000" } else { least };
            return Err(BadInput(format!("--{name} is {value}, expected {expected}")).into());
        }
    }
    Ok(Parameters {
        warm_service_s: number("warm-s"),
        cold_service_s: number("cold-s"),
        idle_before_kill_s: number("idle-s"),
        maximum_concurrency: number("concurrency") as usize,
        request_bytes: number("request-bytes"),
        answer_bytes: number("answer-bytes"),
        access_delay_ms: number("access-delay-ms"),
        bandwidth_mbps: number("bandwidth-mbps"),
    })
}
