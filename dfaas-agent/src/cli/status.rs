//! `dfaas-agent status`: what a running node does.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use dfaas_base::command::runtime;

use crate::status::Status;

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Show what a running node does")
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("The whole status as JSON"))
        .arg(
            Arg::new("address")
                .long("address")
                .value_name("ADDRESS:PORT")
                .env("AGENT_HTTP_ADDRESS")
                .default_value("127.0.0.1:8090")
                .help("Where the agent's HTTP server listens"),
        )
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let address = args.get_one::<String>("address").map_or("", String::as_str);
    let url = format!("http://{address}/status");
    let text = runtime()?.block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
        client.get(&url).send().await?.error_for_status()?.text().await
    });
    let text = text.with_context(|| format!("no agent answers at {url}"))?;
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    if args.get_flag("json") {
        println!("{text}");
    } else {
        let status: Status = serde_json::from_str(&text).context("the agent's answer is not understood")?;
        print!("{}", status.text());
    }
    Ok(ExitCode::SUCCESS)
}
