//! `dfaas-agent load attack`: in the place of `vegeta attack`.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write, stdin, stdout},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::{ArgAction, Args};

use super::play::InFlight;
use crate::{
    Arrivals, engine,
    live::Live,
    plan::{Stage, expected},
    target, units, vegeta,
};
use dfaas_base::{BadInput, command::runtime};

/// Read targets as vegeta does, write results as vegeta does
#[derive(Debug, Args)]
#[command(
    long_about = "Takes the place of `vegeta attack -format=json`: targets are JSON objects, one a line, results too, and in \
                  the form of `vegeta encode`. Flags may have one dash.\n\nExample:\n  jq -ncM '{method: \"GET\", url: \
                  \"http://10.0.0.1:30080/function/figlet\", body: \"Hello!\" | @base64, header: {\"Content-Type\": \
                  [\"text/plain\"]}}' | dfaas-agent load attack -format=json -rate=50/s -duration=5m | tee results.json | \
                  dfaas-agent load report -"
)]
pub(super) struct Attack {
    /// Requests per second
    #[arg(long, value_name = "RATE", value_parser = units::rate, default_value = "50/s")]
    rate: f64,
    /// How long
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Duration,
    /// Of the targets
    #[arg(long, value_name = "FORMAT", value_parser = ["json"], default_value = "json")]
    format: String,
    /// Where targets are read
    #[arg(long, value_name = "FILE", default_value = "stdin")]
    targets: String,
    /// Where results are written
    #[arg(long, value_name = "FILE", default_value = "stdout")]
    output: String,
    /// Name of the attack in the results
    #[arg(long, default_value = "")]
    name: String,
    /// Body of targets that have none
    #[arg(long, value_name = "FILE", value_parser = |path: &str| target::body_file(path.as_ref()))]
    body: Option<Bytes>,
    /// A header of all requests; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = target::header)]
    header: Vec<(String, String)>,
    /// After which a request has failed
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "8s")]
    timeout: Duration,
    /// Use connections again
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "true")]
    keepalive: bool,
    /// Accepted, as vegeta does; targets are always read before the first request
    #[arg(long, hide = true)]
    lazy: bool,
    #[command(flatten)]
    in_flight: InFlight,
}

impl Attack {
    pub(super) fn run(self) -> Result<ExitCode> {
        let attack = self.planned()?;
        let output = &self.output;
        let mut to: Box<dyn Write> = match output.as_str() {
            "stdout" | "-" => Box::new(BufWriter::new(stdout().lock())),
            path => Box::new(BufWriter::new(
                File::create(path).map_err(|e| BadInput(format!("cannot make --output {path}: {e}")))?,
            )),
        };
        let runtime = runtime()?;
        let limits = self.in_flight.limits(&runtime)?;
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

    fn planned(&self) -> Result<crate::Attack> {
        let body = self.body.clone().unwrap_or_default();
        let targets = match self.targets.as_str() {
            "stdin" | "-" => vegeta::read_targets(stdin().lock(), "standard input", &self.header, &body)?,
            path => {
                let file = File::open(path).map_err(|e| BadInput(format!("cannot open --targets {path}: {e}")))?;
                vegeta::read_targets(BufReader::new(file), path, &self.header, &body)?
            }
        };
        Ok(crate::Attack {
            name: self.name.clone(),
            delay: Duration::ZERO,
            targets,
            stages: vec![Stage::constant(self.rate, self.duration)],
            arrivals: Arrivals::Constant,
            timeout: self.timeout,
            close: !self.keepalive,
            stage_headers: false,
        })
    }
}
