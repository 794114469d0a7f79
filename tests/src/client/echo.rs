//! Calls of a function that gives back what it gets: every byte of every answer is compared.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use dfaas_agent::name::NodeId;
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use super::http::{Answer, Call, client};
use crate::netns::Entrance;

/// Failures whose text is kept.
const MAX_TEXTS: usize = 10;

/// What is to be called, each call on a connection of its own.
#[derive(Clone, Debug)]
pub struct Echo {
    /// In turn.
    pub urls: Vec<String>,
    /// In turn, each with each URL.
    pub sizes_bytes: Vec<usize>,
    pub calls: usize,
    pub at_once: usize,
    /// For one call.
    pub timeout: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Echoed {
    /// Answers with status 200 and the same bytes, by the node that gave them.
    pub right: BTreeMap<NodeId, usize>,
    pub wrong: usize,
    pub texts: Vec<String>,
    pub slowest: Duration,
    pub took: Duration,
}

impl Echoed {
    fn note(&mut self, result: Result<NodeId>, took: Duration) {
        self.slowest = self.slowest.max(took);
        match result {
            Ok(node) => *self.right.entry(node).or_default() += 1,
            Err(error) => {
                self.wrong += 1;
                if self.texts.len() < MAX_TEXTS {
                    self.texts.push(format!("{error:#} after {} ms", took.as_millis()));
                }
            }
        }
    }
}

impl Echo {
    pub fn run(&self, from: &Entrance) -> Result<Echoed> {
        from.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.call_all())
        })?
    }

    async fn call_all(&self) -> Result<Echoed> {
        let client = client(0)?;
        let largest = self.sizes_bytes.iter().copied().max().unwrap_or(0);
        let mut bytes = vec![0; largest];
        StdRng::seed_from_u64(largest as u64).fill_bytes(&mut bytes);
        let (bytes, begun) = (Bytes::from(bytes), Instant::now());
        let (mut echoed, mut calls) = (Echoed::default(), JoinSet::new());
        for n in 0..self.calls {
            let url = self.urls[n % self.urls.len()].clone();
            let size = self.sizes_bytes[n / self.urls.len() % self.sizes_bytes.len()];
            // Another part of the bytes for every call, as far as there is one.
            let start = if size == largest { 0 } else { n % (largest - size) };
            let call = Call::post(url, bytes.slice(start..start + size)).timeout(self.timeout);
            let client = client.clone();
            calls.spawn(async move {
                let begun = Instant::now();
                let answer = call.send_by(&client).await;
                (compare(n, &call, answer), begun.elapsed())
            });
            if calls.len() >= self.at_once
                && let Some(ended) = calls.join_next().await
            {
                let (result, took) = ended?;
                echoed.note(result, took);
            }
        }
        while let Some(ended) = calls.join_next().await {
            let (result, took) = ended?;
            echoed.note(result, took);
        }
        echoed.took = begun.elapsed();
        Ok(echoed)
    }
}

fn compare(n: usize, call: &Call, answer: Result<Answer, reqwest::Error>) -> Result<NodeId> {
    let what = || format!("call {n}, {} bytes to {}", call.body.len(), call.url);
    let answer = answer.map_err(|error| anyhow!(error).context(what()))?;
    let same = answer.body == call.body;
    match answer.node() {
        Some(node) if answer.status == 200 && same => Ok(node),
        node => Err(anyhow!(
            "{}: status {} from {node:?} with {} bytes, {} ones",
            what(),
            answer.status,
            answer.body.len(),
            if same { "the same" } else { "other" }
        )),
    }
}
