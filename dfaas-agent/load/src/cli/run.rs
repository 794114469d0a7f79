//! `dfaas-agent load run`: one URL, one rate.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{arg, bad, get, play};
use crate::{
    Arrivals, Attack,
    outputs::Wanted,
    plan::Stage,
    scenario::{Scenario, check_name},
    target::{self, Target},
    threshold::Threshold,
    units,
};

pub(super) fn command() -> Command {
    Command::new("run")
        .about("Play one rate at one URL")
        .long_about(
            "Plays one rate at one URL, after the node has said at /healthz that it is well.\n\nExample:\n  dfaas-agent \
             load run --target http://10.0.0.1:30080/function/figlet --body hello --rate 50 --duration 1m --out results \
             --threshold 'success >= 0.99' --threshold 'p99 <= 50ms'",
        )
        .arg(
            Arg::new("target")
                .long("target")
                .value_name("URL")
                .required(true)
                .action(ArgAction::Append)
                .help("Where requests go; several are asked in turn"),
        )
        .arg(arg("rate", "RATE", units::rate, "Requests per second, such as 50 or 3000/m").required(true))
        .arg(arg("duration", "TIME", units::duration, "How long, such as 30s or 5m").required(true))
        .args(request_arguments())
        .arg(Arg::new("poisson").long("poisson").action(ArgAction::SetTrue).help("Arrivals at random, as of many independent users"))
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .default_value("0")
                .help("The same seed gives the same random arrivals"),
        )
        .arg(
            arg("threshold", "CONDITION", str::parse::<Threshold>, "Exit code 1 if it is not met: success >= 0.99, p99 <= 50ms")
                .action(ArgAction::Append),
        )
        .args(play::arguments())
}

/// Of the request and its connection.
pub(super) fn request_arguments() -> Vec<Arg> {
    vec![
        arg("name", "NAME", |text| check_name(text).map(|()| text.to_owned()), "Name of the attack in the results")
            .default_value("attack"),
        Arg::new("method").long("method").value_name("METHOD").help("[default: GET, or POST with a body]"),
        arg("body", "TEXT|@FILE", target::body, "Body of the request, or the file that holds it"),
        arg("header", "NAME: VALUE", target::header, "A header of the request; may be repeated")
            .action(ArgAction::Append),
        arg("timeout", "TIME", units::duration, "After which a request has failed").default_value("8s"),
        Arg::new("close").long("close").action(ArgAction::SetTrue).help("A connection for every request"),
    ]
}

/// An attack as the arguments say, with one target for each URL.
pub(super) fn attack(
    args: &ArgMatches,
    urls: &[String],
    stages: Vec<Stage>,
    default_method: Option<&str>,
) -> Result<Attack> {
    let body = args.get_one::<Bytes>("body").cloned().unwrap_or_default();
    let headers: Vec<(String, String)> = args.get_many("header").into_iter().flatten().cloned().collect();
    let default = default_method.unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    let method = args.get_one::<String>("method").map_or(default, String::as_str);
    let target = |url: &String| Target::new(method, url, &headers, body.clone()).map_err(bad("target"));
    Ok(Attack {
        name: get(args, "name")?,
        delay: Duration::ZERO,
        targets: urls.iter().map(target).collect::<Result<_, _>>()?,
        stages,
        arrivals: Arrivals::Constant,
        timeout: get(args, "timeout")?,
        close: args.get_flag("close"),
        stage_headers: false,
    })
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let urls: Vec<String> = args.get_many("target").into_iter().flatten().cloned().collect();
    let stages = vec![Stage::constant(get(args, "rate")?, get(args, "duration")?)];
    let mut attack = attack(args, &urls, stages, None)?;
    if args.get_flag("poisson") {
        attack.arrivals = Arrivals::Poisson { seed: get(args, "seed")? };
    }
    let thresholds = args.get_many("threshold").into_iter().flatten().cloned().collect();
    let scenario =
        Scenario { attacks: vec![attack], thresholds, attack_thresholds: vec![Vec::new()], ..Scenario::default() };
    play::perform(&scenario, args, Wanted { charts: !args.get_flag("no-plots"), phases: false })
}
