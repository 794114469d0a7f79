//! `dfaas-agent function`: the functions of this node's platform, for who may read its password.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use dfaas_base::{BadInput, command::runtime};
use reqwest::Method;
use serde_json::{Value, json};

use super::settings::{Selection, Settings, address_or_none_yet};
use crate::{
    config::{Config, keys, setting::Key},
    platform::Credentials,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// List, deploy and remove functions of this node's platform
#[derive(Debug, Args)]
#[command(
    long_about = "Asks the platform of this node: the embedded one, or an OpenFaaS gateway, by the same settings as the agent. \
                  The password that the embedded platform has made is read from its state folder."
)]
pub struct Function {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    settings: Settings<OfThePlatform>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show all functions as JSON
    List,
    /// Deploy a function, in place of one of that name
    Deploy {
        name: String,
        /// The command line that serves a call: input on stdin, answer on stdout
        #[arg(long)]
        command: String,
        /// Calls per second that this node may serve
        #[arg(long, value_name = "RATE")]
        max_rate: Option<u32>,
        /// Memory of a call, such as 256Mi
        #[arg(long)]
        memory: Option<String>,
        /// The container, for a gateway that runs containers
        #[arg(long, default_value = "")]
        image: String,
    },
    /// Remove a function
    Remove { name: String },
}

/// The settings that say where the platform is, and who may ask it.
#[derive(Clone, Copy, Debug)]
struct OfThePlatform;

impl Selection for OfThePlatform {
    fn has(key: &Key) -> bool {
        let keys = [
            keys::PLATFORM.key,
            keys::EMBEDDED_ADDRESS.key,
            keys::OPENFAAS_HOST.key,
            keys::OPENFAAS_PORT.key,
            keys::OPENFAAS_USER.key,
            keys::OPENFAAS_PASSWORD_FILE.key,
            keys::STATE_DIR.key,
        ];
        keys.iter().any(|selected| selected.name == key.name)
    }
}

impl Function {
    pub fn run(self) -> Result<ExitCode> {
        let resolved = self.settings.resolve()?;
        let config = Config::new(&resolved, address_or_none_yet).map_err(|wrong| BadInput(wrong.to_string()))?;
        let platform = &config.platform;
        let gateway = Gateway { base: platform.api(), credentials: platform.credentials(&config.state_dir) };
        let text = runtime()?.block_on(gateway.act(self.action))?;
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        {
            println!("{}", text.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

struct Gateway {
    base: String,
    credentials: Option<Credentials>,
}

impl Gateway {
    async fn act(&self, action: Action) -> Result<String> {
        match action {
            Action::List => self.ask(Method::GET, Value::Null).await?.well(),
            Action::Deploy { name, command, max_rate, memory, image } => {
                let mut deployment = json!({"service": name, "envProcess": command, "image": image});
                if let Some(rate) = max_rate {
                    deployment["labels"] = json!({"dfaas.maxrate": rate.to_string()});
                }
                if let Some(memory) = memory {
                    deployment["limits"] = json!({"memory": memory});
                }
                let mut answer = self.ask(Method::PUT, deployment.clone()).await?;
                if answer.status == 404 {
                    answer = self.ask(Method::POST, deployment).await?;
                }
                answer.well()?;
                Ok(format!("function {name} deployed"))
            }
            Action::Remove { name } => {
                self.ask(Method::DELETE, json!({"functionName": name})).await?.well()?;
                Ok(format!("function {name} removed"))
            }
        }
    }

    async fn ask(&self, method: Method, body: Value) -> Result<Answer> {
        let url = format!("{}/system/functions", self.base);
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        let mut request = client.request(method, &url);
        if let Some(credentials) = &self.credentials {
            request = request.basic_auth(&credentials.user, Some(credentials.password.read().await?));
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("no gateway answers at {url}"))?;
        Ok(Answer { status: response.status().as_u16(), text: response.text().await? })
    }
}

struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn well(self) -> Result<String> {
        if (200..300).contains(&self.status) {
            return Ok(self.text);
        }
        bail!("the gateway answers {}: {}", self.status, self.text.trim_end());
    }
}
