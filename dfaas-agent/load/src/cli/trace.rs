//! `dfaas-agent load trace`: recorded rates of a node.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{
    get, play,
    run::{attack, request_arguments},
};
use crate::{
    outputs::Wanted,
    scenario::Scenario,
    trace::{self, StageBuilder},
};

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, env: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).env(env).help(help)
    };
    Command::new("trace")
        .about("Play the recorded rates of a node")
        .long_about(
            "Plays one node's rates of a trace file, {\"FUNCTION\": {\"NODE\": [requests per second, ...]}}, with \
             POST. Requests carry DFaaS-K6-Stage, DFaaS-K6-Rate and DFaaS-K6-Duration, so that the node's \
             measurements can be told apart by stage.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .env("TRACE_PATH")
                .value_parser(value_parser!(PathBuf))
                .help("The trace"),
        )
        .arg(text("function", "NAME", "FUNCTION", "Function of the trace [default: the only one]"))
        .arg(text("node", "NAME", "NODE", "Node of the trace [default: the only one]"))
        .arg(
            text("limit", "N", "LIMIT", "Only so many rates; 0: all")
                .value_parser(value_parser!(usize))
                .default_value("0"),
        )
        .arg(
            text(
                "stage-builder",
                "NAME",
                "STAGE_BUILDER",
                "OneMinuteWindow, TwoMinuteWindow, ThreeMinuteWindow or WithCooldown",
            )
            .value_parser(str::parse::<StageBuilder>)
            .default_value("OneMinuteWindow"),
        )
        .arg(text("ip-server", "HOST", "IP_SERVER", "The node that is asked, at port 30080").default_value("127.0.0.1"))
        .arg(text("function-name", "NAME", "FUNCTION_NAME", "The function that is asked for").default_value("mlimage"))
        .arg(Arg::new("target").long("target").value_name("URL").help("Where requests go, instead of the two above"))
        .arg(
            Arg::new("rl-strategy")
                .long("rl-strategy")
                .action(ArgAction::SetTrue)
                .help("Each rate is in the trace twice, for two strategies: requests.csv tells the phases"),
        )
        .args(request_arguments())
        .args(play::arguments())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let name = |name: &str| args.get_one::<String>(name).map(String::as_str);
    let mut rates = trace::read(&get::<PathBuf>(args, "file")?, name("function"), name("node"))?;
    if let limit @ 1.. = get::<usize>(args, "limit")? {
        rates.truncate(limit);
    }
    let url = match name("target") {
        Some(url) => url.to_owned(),
        None => format!(
            "http://{}:30080/function/{}",
            get::<String>(args, "ip-server")?,
            get::<String>(args, "function-name")?
        ),
    };
    let stages = get::<StageBuilder>(args, "stage-builder")?.stages(&rates);
    let mut attack = attack(args, &[url], stages, Some("POST"))?;
    attack.stage_headers = true;
    let scenario = Scenario { attacks: vec![attack], attack_thresholds: vec![Vec::new()], ..Scenario::default() };
    let wanted = Wanted { charts: !args.get_flag("no-plots"), phases: args.get_flag("rl-strategy") };
    play::perform(&scenario, args, wanted)
}
