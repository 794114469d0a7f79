//! `dfaas-agent load run`: one URL, one rate.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use clap::Args;

use super::{bad, play::Play};
use crate::{
    Arrivals, Attack,
    plan::Stage,
    scenario::{Scenario, check_name},
    target::{self, Target},
    threshold::Threshold,
    units,
};

/// Play one rate at one URL
#[derive(Debug, Args)]
#[command(
    long_about = "Plays one rate at one URL, after the node has said at /healthz that it is well.\n\nExample:\n  dfaas-agent \
                  load run --target http://10.0.0.1:30080/function/figlet --body hello --rate 50 --duration 1m --out \
                  results --threshold 'success >= 0.99' --threshold 'p99 <= 50ms'"
)]
pub(super) struct Run {
    /// Where requests go; several are asked in turn
    #[arg(long, value_name = "URL", required = true)]
    target: Vec<String>,
    /// Requests per second, such as 50 or 3000/m
    #[arg(long, value_parser = units::rate)]
    rate: f64,
    /// How long, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Duration,
    #[command(flatten)]
    request: Request,
    /// Arrivals at random, as of many independent users
    #[arg(long)]
    poisson: bool,
    /// The same seed gives the same random arrivals
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Exit code 1 if it is not met: success >= 0.99, p99 <= 50ms
    #[arg(long, value_name = "CONDITION")]
    threshold: Vec<Threshold>,
    #[command(flatten)]
    play: Play,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut attack = self.request.attack(&self.target, vec![Stage::constant(self.rate, self.duration)], None)?;
        if self.poisson {
            attack.arrivals = Arrivals::Poisson { seed: self.seed };
        }
        let scenario = Scenario {
            attacks: vec![attack],
            thresholds: self.threshold,
            attack_thresholds: vec![Vec::new()],
            ..Scenario::default()
        };
        self.play.perform(&scenario, true, false)
    }
}

/// Of the request and its connection.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// Name of the attack in the results
    #[arg(long, default_value = "attack", value_parser = |text: &str| check_name(text).map(|()| text.to_owned()))]
    name: String,
    /// [default: GET, or POST with a body]
    #[arg(long)]
    method: Option<String>,
    /// Body of the request, or the file that holds it
    #[arg(long, value_name = "TEXT|@FILE", value_parser = target::body)]
    body: Option<Bytes>,
    /// A header of the request; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = target::header)]
    header: Vec<(String, String)>,
    /// After which a request has failed
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "8s")]
    timeout: Duration,
    /// A connection for every request
    #[arg(long)]
    close: bool,
}

impl Request {
    /// An attack as the arguments say, with one target for each URL.
    pub(super) fn attack(&self, urls: &[String], stages: Vec<Stage>, default_method: Option<&str>) -> Result<Attack> {
        let body = self.body.clone().unwrap_or_default();
        let default = default_method.unwrap_or(if body.is_empty() { "GET" } else { "POST" });
        let method = self.method.as_deref().unwrap_or(default);
        let target = |url: &String| Target::new(method, url, &self.header, body.clone()).map_err(bad("target"));
        Ok(Attack {
            name: self.name.clone(),
            delay: Duration::ZERO,
            targets: urls.iter().map(target).collect::<Result<_, _>>()?,
            stages,
            arrivals: Arrivals::Constant,
            timeout: self.timeout,
            close: self.close,
            stage_headers: false,
        })
    }
}
