//! The web service of a trained model: one question, one answer, and a log of both.

mod log;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::Value;

pub(crate) use self::log::ExchangeLog;
use crate::{
    decision::Weights,
    endpoint::Endpoint,
    http_body,
    strategy::rl_agent::{self, Subject},
};

/// Some 700 peers with names of 57 bytes.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
pub(crate) struct ModelSettings {
    pub address: Endpoint,
    /// For one question as a whole, connecting included.
    pub timeout: Duration,
}

/// The service, with connections that are kept.
#[derive(Clone, Debug)]
pub(crate) struct RlModel {
    settings: ModelSettings,
    client: Client,
}

/// A question that was answered well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answered {
    pub weights: Weights,
    /// As it came, for the log.
    pub text: String,
}

impl RlModel {
    pub(crate) fn new(settings: ModelSettings) -> Result<Self> {
        let client = Client::builder().timeout(settings.timeout).redirect(Policy::none()).no_proxy().build()?;
        Ok(Self { settings, client })
    }

    /// Asks `question` about `subject` ([`rl_agent::question`]). An error means that nothing changes.
    pub(crate) async fn ask(&self, subject: &Subject, question: &Value) -> Result<Answered> {
        let address = &self.settings.address;
        let context = || format!("model {address}, function {}", subject.function);
        let answer = self.post(question).await.with_context(context)?;
        let weights = rl_agent::weights(subject, &answer).with_context(context)?;
        Ok(Answered { weights, text: String::from_utf8_lossy(&answer).into_owned() })
    }

    async fn post(&self, question: &Value) -> Result<Vec<u8>> {
        let url = format!("http://{}/action", self.settings.address);
        let answer = match self.client.post(url).json(question).send().await {
            Ok(answer) => answer,
            Err(e) if e.is_timeout() => anyhow::bail!("no answer in {} s", self.settings.timeout.as_secs_f64()),
            Err(e) => anyhow::bail!("{}", http_body::innermost(&e)),
        };
        ensure!(answer.status() == StatusCode::OK, "answer {}: expected 200 OK", answer.status());
        http_body::read(answer, ANSWER_LIMIT_BYTES).await
    }
}

#[cfg(test)]
mod tests;
