//! Client of the original's forecaster service: one question per load, over HTTP.
//!
//! It blocks its caller for at most a time-out per question and is called off the agent's loop (`spawn_blocking`).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode, header::CONTENT_TYPE, redirect::Policy};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{ForecastError, Forecaster, GroupRates, Load, NodeType, Usage};
use crate::{endpoint::Endpoint, http_body};

/// The answer is a line of a hundred bytes.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
pub(crate) struct RemoteSettings {
    pub address: Endpoint,
    /// For one question as a whole, connecting included.
    pub timeout: Duration,
    /// For all questions of one computation.
    pub budget: Budget,
}

/// What one computation may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub calls: u32,
    pub time: Duration,
}

/// The service, with connections that are kept.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    settings: RemoteSettings,
    client: Client,
    runtime: Handle,
}

impl Remote {
    /// The connections live on the runtime this is called in.
    pub(crate) fn new(settings: RemoteSettings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(settings.timeout).redirect(Policy::none()).no_proxy().build()?;
        Ok(Self { settings, client, runtime: Handle::try_current()? })
    }

    /// A forecaster for one computation: no more questions than the budget allows, none twice.
    pub(crate) fn computation(&self) -> Computation<'_> {
        let until = Instant::now() + self.settings.budget.time;
        Computation { remote: self, until, state: Mutex::default() }
    }

    async fn ask(&self, question: &Question) -> Result<Usage, ForecastError> {
        let url = format!("http://{}/node_usage", self.settings.address);
        let body =
            serde_json::to_vec(question).map_err(|e| ForecastError(format!("question to the forecaster: {e}")))?;
        let request = self.client.request(Method::GET, url).header(CONTENT_TYPE, "application/json").body(body);
        let answer = request.send().await.map_err(|e| self.failed(&e))?;
        self.expect_ok(answer.status())?;
        let body = http_body::read(answer, ANSWER_LIMIT_BYTES).await.map_err(|e| self.bad(format_args!("{e:#}")))?;
        let [first, ..] = &serde_json::from_slice::<Vec<Answer>>(&body).map_err(|e| self.bad(format_args!("{e}")))?[..]
        else {
            return Err(self.bad(format_args!("an empty array, expected one object")));
        };
        first.usage().ok_or_else(|| self.bad(format_args!("{first:?}, expected numbers that are not negative")))
    }

    fn expect_ok(&self, status: StatusCode) -> Result<(), ForecastError> {
        if status == StatusCode::OK { Ok(()) } else { Err(self.bad(format_args!("{status}, expected 200 OK"))) }
    }

    fn failed(&self, error: &reqwest::Error) -> ForecastError {
        let address = &self.settings.address;
        if error.is_timeout() {
            let seconds = self.settings.timeout.as_secs_f64();
            return ForecastError(format!("forecaster {address}: no answer in {seconds} s"));
        }
        ForecastError(format!("forecaster {address}: {}", http_body::innermost(error)))
    }

    fn bad(&self, what: std::fmt::Arguments<'_>) -> ForecastError {
        ForecastError(format!("forecaster {}: answer {what}", self.settings.address))
    }
}

/// One computation's questions.
#[derive(Debug)]
pub(crate) struct Computation<'a> {
    remote: &'a Remote,
    until: Instant,
    state: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    calls: u32,
    answers: BTreeMap<[u64; 4], Usage>,
}

impl Computation<'_> {
    /// Questions that went to the service so far.
    #[cfg(test)]
    fn calls(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).calls
    }

    fn may_ask(&self, calls: u32) -> Result<(), ForecastError> {
        let Budget { calls: max, time } = self.remote.settings.budget;
        let over = |what: String| Err(ForecastError(format!("forecaster {}: {what}", self.remote.settings.address)));
        if calls >= max {
            return over(format!("one computation needs more than {max} questions"));
        }
        if Instant::now() >= self.until {
            return over(format!("one computation takes longer than {} s", time.as_secs_f64()));
        }
        Ok(())
    }
}

impl Forecaster for Computation<'_> {
    /// Must not be called from asynchronous code.
    fn usage(&self, node: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError> {
        let question = Question::new(node, load.groups)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.answers.get(&question.key()) {
            return Ok(*known);
        }
        self.may_ask(state.calls)?;
        state.calls += 1;
        let usage = self.remote.runtime.block_on(self.remote.ask(&question))?;
        state.answers.insert(question.key(), usage);
        Ok(usage)
    }
}

/// The service makes columns of the keys and insists on this order.
#[derive(Clone, Copy, Debug, Serialize)]
struct Question {
    #[serde(rename = "rate_group_HIGH_USAGE")]
    high: f64,
    #[serde(rename = "rate_group_LOW_USAGE")]
    low: f64,
    #[serde(rename = "rate_group_MEDIUM_USAGE")]
    medium: f64,
    node_type: u8,
}

impl Question {
    fn new(node: NodeType, groups: GroupRates) -> Result<Self, ForecastError> {
        let GroupRates { high, low, medium } = groups;
        for (group, rate) in [("HIGH", high), ("LOW", low), ("MEDIUM", medium)] {
            if !(rate.is_finite() && rate >= 0.0) {
                let expected = "expected a number that is not negative";
                return Err(ForecastError(format!("rate of group {group}_USAGE is {rate}: {expected}")));
            }
        }
        Ok(Self { high, low, medium, node_type: node.number() })
    }

    fn key(&self) -> [u64; 4] {
        [self.high.to_bits(), self.low.to_bits(), self.medium.to_bits(), self.node_type.into()]
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Answer {
    #[serde(rename = "cpu_usage_node")]
    cpu: f64,
    #[serde(rename = "ram_usage_node")]
    ram: f64,
    #[serde(rename = "power_usage_node")]
    power: f64,
}

impl Answer {
    fn usage(&self) -> Option<Usage> {
        let Self { cpu, ram, power } = *self;
        [cpu, ram, power].iter().all(|v| v.is_finite() && *v >= 0.0).then_some(Usage { cpu, ram, power })
    }
}

#[cfg(test)]
mod tests;
