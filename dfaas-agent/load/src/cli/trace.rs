//! `dfaas-agent load trace`: recorded rates of a node.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::{play::Play, run::Request};
use crate::{
    scenario::Scenario,
    trace::{self, StageBuilder},
};

/// Play the recorded rates of a node
#[derive(Debug, Args)]
#[command(
    long_about = "Plays one node's rates of a trace file, {\"FUNCTION\": {\"NODE\": [requests per second, ...]}}, with POST. \
                  Requests carry DFaaS-K6-Stage, DFaaS-K6-Rate and DFaaS-K6-Duration, so that the node's measurements can \
                  be told apart by stage."
)]
pub(super) struct Trace {
    /// The trace
    #[arg(env = "TRACE_PATH")]
    file: PathBuf,
    /// Function of the trace [default: the only one]
    #[arg(long, value_name = "NAME", env = "FUNCTION")]
    function: Option<String>,
    /// Node of the trace [default: the only one]
    #[arg(long, value_name = "NAME", env = "NODE")]
    node: Option<String>,
    /// Only so many rates; 0: all
    #[arg(long, value_name = "N", env = "LIMIT", default_value_t = 0)]
    limit: usize,
    /// OneMinuteWindow, TwoMinuteWindow, ThreeMinuteWindow or WithCooldown
    #[arg(long, value_name = "NAME", env = "STAGE_BUILDER", default_value = "OneMinuteWindow")]
    stage_builder: StageBuilder,
    /// The node that is asked, at port 30080
    #[arg(long, value_name = "HOST", env = "IP_SERVER", default_value = "127.0.0.1")]
    ip_server: String,
    /// The function that is asked for
    #[arg(long, value_name = "NAME", env = "FUNCTION_NAME", default_value = "mlimage")]
    function_name: String,
    /// Where requests go, instead of the two above
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Each rate is in the trace twice, for two strategies: requests.csv tells the phases
    #[arg(long)]
    rl_strategy: bool,
    #[command(flatten)]
    request: Request,
    #[command(flatten)]
    play: Play,
}

impl Trace {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut rates = trace::read(&self.file, self.function.as_deref(), self.node.as_deref())?;
        if self.limit > 0 {
            rates.truncate(self.limit);
        }
        let url =
            self.target.unwrap_or_else(|| format!("http://{}:30080/function/{}", self.ip_server, self.function_name));
        let mut attack = self.request.attack(&[url], self.stage_builder.stages(&rates), Some("POST"))?;
        attack.stage_headers = true;
        let scenario = Scenario { attacks: vec![attack], attack_thresholds: vec![Vec::new()], ..Scenario::default() };
        self.play.perform(&scenario, true, self.rl_strategy)
    }
}
