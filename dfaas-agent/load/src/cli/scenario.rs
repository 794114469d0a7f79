//! `dfaas-agent load scenario`: several timed attacks.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::play;
use crate::{
    outputs::Wanted,
    scenario::{self, environment},
};
use dfaas_base::BadInput;

pub(super) fn command() -> Command {
    Command::new("scenario")
        .about("Play several timed attacks, and check thresholds")
        .long_about(
            r#"Plays the attacks of a TOML file side by side. The exit code is 1 if a threshold is missed.

Example:
  nodes = ["http://10.0.0.1:30080"]     # wait for their /healthz [default: the hosts of all targets]
  wait = "10s"                          # then this long
  thresholds = ["success >= 0.99"]      # of all attacks together

  [[attack]]
  name = "light"
  delay = "5s"
  target = "http://10.0.0.1:30080/function/figlet"
  body = "hello"                        # or body_file = "body.bin"; also method, headers, timeout, close
  rate = 350                            # or poisson = true with it
  duration = "15m"                      # or stages = [{ from = 0, rate = 100, duration = "5s" }, ...]
  thresholds = ["p99 <= 50ms", "status_429 <= 0"]

--from-env takes the attacks from ATTACKS_NAME, ATTACKS_DELAY (s), ATTACKS_TARGET, ATTACKS_METHOD, ATTACKS_BODY,
ATTACKS_RATE (1/s) and ATTACKS_DURATION (min), lists by semicolon, with NODES, WAIT_TIME (s, default 90) and SKIP_PLOTS."#,
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .required_unless_present("from-env")
                .help("The scenario"),
        )
        .arg(
            Arg::new("from-env")
                .long("from-env")
                .action(ArgAction::SetTrue)
                .conflicts_with("file")
                .help("Take the attacks from ATTACKS_* instead"),
        )
        .args(play::arguments())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let (scenario, charts) = match args.get_one::<PathBuf>("file") {
        Some(file) => (scenario::read(file)?, true),
        None if args.get_flag("from-env") => environment::read(|name| std::env::var(name).ok())?,
        None => return Err(BadInput("no scenario, expected FILE or --from-env".into()).into()),
    };
    play::perform(&scenario, args, Wanted { charts: charts && !args.get_flag("no-plots"), phases: false })
}
