//! `dfaas-agent load scenario`: several timed attacks.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::play::Play;
use crate::scenario::{self, environment};
use dfaas_base::BadInput;

const ABOUT: &str = r#"Plays the attacks of a TOML file side by side. The exit code is 1 if a threshold is missed.

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
ATTACKS_RATE (1/s) and ATTACKS_DURATION (min), lists by semicolon, with NODES, WAIT_TIME (s, default 90) and SKIP_PLOTS."#;

/// Play several timed attacks, and check thresholds
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub(super) struct Scenario {
    /// The scenario
    #[arg(required_unless_present = "from_env")]
    file: Option<PathBuf>,
    /// Take the attacks from ATTACKS_* instead
    #[arg(long, conflicts_with = "file")]
    from_env: bool,
    #[command(flatten)]
    play: Play,
}

impl Scenario {
    pub(super) fn run(self) -> Result<ExitCode> {
        let (scenario, charts) = match &self.file {
            Some(file) => (scenario::read(file)?, true),
            None if self.from_env => environment::read(|name| std::env::var(name).ok())?,
            None => return Err(BadInput("no scenario, expected FILE or --from-env".into()).into()),
        };
        self.play.perform(&scenario, charts, false)
    }
}
