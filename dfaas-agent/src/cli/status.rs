//! `dfaas-agent status`: what a running node does.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use dfaas_base::command::runtime;

use crate::status;

/// Show what a running node does
#[derive(Debug, Args)]
pub struct Status {
    /// The whole status as JSON
    #[arg(long)]
    json: bool,
    /// Where the agent's HTTP server listens
    #[arg(long, value_name = "ADDRESS:PORT", env = "AGENT_HTTP_ADDRESS", default_value = "127.0.0.1:8090")]
    address: String,
}

impl Status {
    pub fn run(self) -> Result<ExitCode> {
        let url = format!("http://{}/status", self.address);
        let text = runtime()?.block_on(async {
            let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
            client.get(&url).send().await?.error_for_status()?.text().await
        });
        let text = text.with_context(|| format!("no agent answers at {url}"))?;
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        if self.json {
            println!("{text}");
        } else {
            let status: status::Status = serde_json::from_str(&text).context("the agent's answer is not understood")?;
            print!("{}", status.text());
        }
        Ok(ExitCode::SUCCESS)
    }
}
