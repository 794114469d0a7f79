//! `dfaas-agent load attack`: in the place of `vegeta attack`.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write, stdin, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{arg, get, play};
use crate::{
    Arrivals, Attack, engine,
    live::Live,
    plan::{Stage, expected},
    target, units, vegeta,
};
use dfaas_base::{BadInput, command::runtime};

pub(super) fn command() -> Command {
    Command::new("attack")
        .about("Read targets as vegeta does, write results as vegeta does")
        .long_about(
            "Takes the place of `vegeta attack -format=json`: targets are JSON objects, one a line, results too, and \
             in the form of `vegeta encode`. Flags may have one dash.\n\nExample:\n  jq -ncM '{method: \"GET\", url: \
             \"http://10.0.0.1:30080/function/figlet\", body: \"Hello!\" | @base64, header: {\"Content-Type\": \
             [\"text/plain\"]}}' | dfaas-agent load attack -format=json -rate=50/s -duration=5m | tee results.json | \
             dfaas-agent load report -",
        )
        .arg(arg("rate", "RATE", units::rate, "Requests per second").default_value("50/s"))
        .arg(arg("duration", "TIME", units::duration, "How long").required(true))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["json"])
                .default_value("json")
                .help("Of the targets"),
        )
        .arg(
            Arg::new("targets")
                .long("targets")
                .value_name("FILE")
                .default_value("stdin")
                .help("Where targets are read"),
        )
        .arg(
            Arg::new("output")
                .long("output")
                .value_name("FILE")
                .default_value("stdout")
                .help("Where results are written"),
        )
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .default_value("")
                .help("Name of the attack in the results"),
        )
        .arg(arg("body", "FILE", |path| target::body_file(path.as_ref()), "Body of targets that have none"))
        .arg(
            arg("header", "NAME: VALUE", target::header, "A header of all requests; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(arg("timeout", "TIME", units::duration, "After which a request has failed").default_value("8s"))
        .arg(
            Arg::new("keepalive")
                .long("keepalive")
                .value_name("BOOL")
                .value_parser(value_parser!(bool))
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .default_value("true")
                .help("Use connections again"),
        )
        .arg(Arg::new("lazy").long("lazy").action(ArgAction::SetTrue).hide(true))
        .arg(play::max_in_flight())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let attack = attack(args)?;
    let output: String = get(args, "output")?;
    let mut to: Box<dyn Write> = match output.as_str() {
        "stdout" | "-" => Box::new(BufWriter::new(stdout().lock())),
        path => Box::new(BufWriter::new(
            File::create(path).map_err(|e| BadInput(format!("cannot make --output {path}: {e}")))?,
        )),
    };
    let runtime = runtime()?;
    let limits = play::limits(get(args, "max-in-flight")?, &runtime)?;
    let mut live = Live::new(expected(&attack.stages));
    let mut failure = None;
    let see = |record: &_| {
        live.see(record);
        if failure.is_none()
            && let Err(e) = vegeta::write_result(&mut to, record)
        {
            // Nobody reads the results any more: an end of the pipe, usually.
            limits.stop.store(true, std::sync::atomic::Ordering::Relaxed);
            failure = Some(e);
        }
    };
    runtime.block_on(engine::play(&[attack], &limits, see))?;
    live.finish();
    failure.map_or_else(|| Ok(to.flush()?), Err).with_context(|| format!("cannot write results to {output}"))?;
    Ok(ExitCode::SUCCESS)
}

fn attack(args: &ArgMatches) -> Result<Attack> {
    let headers: Vec<(String, String)> = args.get_many("header").into_iter().flatten().cloned().collect();
    let body = args.get_one::<Bytes>("body").cloned().unwrap_or_default();
    let from: String = get(args, "targets")?;
    let targets = match from.as_str() {
        "stdin" | "-" => vegeta::read_targets(stdin().lock(), "standard input", &headers, &body)?,
        path => {
            let file = File::open(path).map_err(|e| BadInput(format!("cannot open --targets {path}: {e}")))?;
            vegeta::read_targets(BufReader::new(file), path, &headers, &body)?
        }
    };
    Ok(Attack {
        name: get(args, "name")?,
        delay: Duration::ZERO,
        targets,
        stages: vec![Stage::constant(get(args, "rate")?, get(args, "duration")?)],
        arrivals: Arrivals::Constant,
        timeout: get(args, "timeout")?,
        close: !get::<bool>(args, "keepalive")?,
        stage_headers: false,
    })
}
