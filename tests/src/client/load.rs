//! A load: calls at fixed times, whether or not earlier ones have been answered.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use tokio::{task::JoinSet, time::Instant};

use super::{
    http::{Answer, Call, client},
    tally::{Failure, Outcome, Tally},
};
use crate::netns::Entrance;

/// Calls under way at one time; more are skipped, and counted.
const MAX_CALLS: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// A connection for every call.
    PerCall,
    /// As few as possible, kept open.
    Kept,
}

#[derive(Clone, Debug)]
pub struct Load {
    pub call: Call,
    /// Calls per second.
    pub rate: f64,
    /// `None`: until it is stopped.
    pub duration: Option<Duration>,
    pub connections: Connections,
}

/// A load on a thread of its own.
pub struct Running {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    thread: Option<JoinHandle<Result<()>>>,
    started: std::time::Instant,
}

impl Load {
    pub fn start(self, from: &Entrance) -> Result<Running> {
        ensure!(self.rate > 0.0, "a load of {} calls per second, expected more than 0", self.rate);
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Tally::default())));
        let (entrance, shared) = (from.clone(), (Arc::clone(&stop), Arc::clone(&tally)));
        let started = std::time::Instant::now();
        let thread = thread::Builder::new().name("load".into()).spawn(move || {
            entrance.go()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.run(started.into(), &shared.0, &shared.1))
        })?;
        Ok(Running { stop, tally, thread: Some(thread), started })
    }

    async fn run(self, started: Instant, stop: &AtomicBool, tally: &Mutex<Tally>) -> Result<()> {
        let client = client(if self.connections == Connections::Kept { MAX_CALLS } else { 0 })?;
        let call = Arc::new(self.call);
        let mut calls = JoinSet::new();
        for n in 0u32.. {
            let due = Duration::from_secs_f64(f64::from(n) / self.rate);
            if self.duration.is_some_and(|duration| due >= duration) {
                break;
            }
            while let Some(wait) = (started + due).checked_duration_since(Instant::now()) {
                // Slow loads must stop soon, too.
                tokio::time::sleep(wait.min(Duration::from_millis(100))).await;
                if stop.load(Relaxed) {
                    break;
                }
            }
            if stop.load(Relaxed) {
                break;
            }
            while let Some(ended) = calls.try_join_next() {
                record(tally, ended?);
            }
            if calls.len() >= MAX_CALLS {
                lock(tally).record(due, Duration::ZERO, Outcome::Failed(Failure::Skipped), None);
                continue;
            }
            lock(tally).sent(due, (started + due).elapsed());
            let (client, call) = (client.clone(), Arc::clone(&call));
            calls.spawn(async move {
                let begun = Instant::now();
                let (outcome, text) = classify(call.send_by(&client).await);
                Ended { due, took: begun.elapsed(), since_due: (started + due).elapsed(), outcome, text }
            });
        }
        while let Some(ended) = calls.join_next().await {
            record(tally, ended?);
        }
        Ok(())
    }
}

struct Ended {
    due: Duration,
    took: Duration,
    /// A call that was sent late has made its client wait, too.
    since_due: Duration,
    outcome: Outcome,
    text: Option<String>,
}

fn record(tally: &Mutex<Tally>, ended: Ended) {
    let mut tally = lock(tally);
    if ended.outcome.is_success() {
        tally.latency.record(ended.since_due);
    }
    tally.record(ended.due, ended.took, ended.outcome, ended.text);
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn classify(result: Result<Answer, reqwest::Error>) -> (Outcome, Option<String>) {
    match result {
        Ok(answer) => {
            let outcome = Outcome::Answered { status: answer.status, node: answer.node() };
            let text = format!("status {}: {:?}", answer.status, answer.text().chars().take(100).collect::<String>());
            (outcome, Some(text))
        }
        Err(error) => {
            let failure = match () {
                () if error.is_timeout() => Failure::TimedOut,
                () if error.is_connect() => Failure::Connect,
                () => Failure::Broken,
            };
            (Outcome::Failed(failure), Some(format!("{}: {:#}", failure.name(), anyhow!(error))))
        }
    }
}

impl Running {
    /// Time since the start: what is due later has not been sent yet.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What has ended so far.
    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of the load and of its last call.
    pub fn finish(mut self) -> Result<Tally> {
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the load's thread panicked"))??;
        }
        Ok(self.tally())
    }

    /// Sends no more calls; those under way come to their end.
    pub fn stop(self) -> Result<Tally> {
        self.stop.store(true, Relaxed);
        self.finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reqwest::header::HeaderMap;

    #[test]
    fn a_broken_call_is_told_apart_from_a_refused_one() {
        let refused = Answer { status: 429, headers: HeaderMap::new(), body: Bytes::new() };
        assert_eq!(classify(Ok(refused)).0, Outcome::Answered { status: 429, node: None });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let call = Call::get(format!("http://127.0.0.1:{port}/"));
        let result = runtime.block_on(async { call.send_by(&client(0).unwrap()).await });
        assert_eq!(classify(result).0, Outcome::Failed(Failure::Connect));
    }
}
