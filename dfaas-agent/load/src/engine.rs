//! Plays attacks: a thread that keeps the time, a task for every request, and one reader of what came of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use dfaas_base::duration;
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{
    Attack,
    call::{Manner, Server, call},
    plan::{Arrival, arrivals},
    record::{Exchange, Record, nanos},
    target::Target,
};

const STAGE: HeaderName = HeaderName::from_static("dfaas-k6-stage");
const RATE: HeaderName = HeaderName::from_static("dfaas-k6-rate");
const DURATION: HeaderName = HeaderName::from_static("dfaas-k6-duration");

/// Records that wait for the reader.
const QUEUE: usize = 16_384;
/// The clock's thread looks at the stop sign at least so often.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests under way at one time; arrivals beyond are counted as not sent.
    pub in_flight: usize,
    /// Once set, nothing more is sent; what is under way comes to its end.
    pub stop: Arc<AtomicBool>,
}

#[derive(Debug)]
pub struct Played {
    /// One for every arrival that was due, in the order in which they ended.
    pub records: Vec<Record>,
    /// Counted by the clock.
    pub due: u64,
}

/// Plays all attacks, and shows each record to `see` when its request ends.
pub async fn play(attacks: &[Attack], limits: &Limits, mut see: impl FnMut(&Record)) -> Result<Played> {
    let parts = prepare(attacks).await?;
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let clock = Clock {
        start: Instant::now(),
        start_ns: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, nanos),
        free: Arc::new(Semaphore::new(limits.in_flight.clamp(1, Semaphore::MAX_PERMITS))),
        limits: limits.clone(),
        runtime: Handle::current(),
        records: sender,
    };
    let thread = thread::Builder::new().name("load clock".into()).spawn(move || clock.run(parts));
    let thread = thread.context("cannot start the clock's thread")?;
    let mut records = Vec::new();
    while let Some(record) = receiver.recv().await {
        see(&record);
        records.push(record);
    }
    let due = thread.join().map_err(|_| anyhow!("the clock's thread panicked"))?;
    Ok(Played { records, due })
}

/// An attack, ready to go.
struct Part {
    arrivals: Box<dyn Iterator<Item = Arrival> + Send>,
    next: Option<Arrival>,
    seq: u64,
    delay: Duration,
    name: Arc<str>,
    targets: Vec<Arc<Aim>>,
    /// Headers of each stage.
    stages: Vec<Arc<HeaderMap>>,
    manner: Manner,
}

struct Aim {
    target: Target,
    server: Arc<Server>,
    method: Arc<str>,
    url: Arc<str>,
}

impl Part {
    fn next_due(&self) -> Option<Duration> {
        self.next.map(|arrival| self.delay + arrival.due)
    }
}

/// Looks hosts up once: a slow resolver must not hold up arrivals.
async fn prepare(attacks: &[Attack]) -> Result<Vec<Part>> {
    let mut servers: BTreeMap<(String, u16), Arc<Server>> = BTreeMap::new();
    let mut parts = Vec::new();
    for attack in attacks {
        let mut targets = Vec::new();
        for target in &attack.targets {
            let key = target.authority();
            if !servers.contains_key(&key) {
                servers.insert(key.clone(), Arc::new(Server::find(&key.0, key.1).await?));
            }
            let (method, url) = (target.method.as_str().into(), target.url.to_string().into());
            targets.push(Arc::new(Aim { target: target.clone(), server: Arc::clone(&servers[&key]), method, url }));
        }
        if targets.is_empty() {
            return Err(anyhow!("attack {} has no target", attack.name));
        }
        let mut arrivals = Box::new(arrivals(&attack.stages, attack.arrivals));
        parts.push(Part {
            next: arrivals.next(),
            arrivals,
            seq: 0,
            delay: attack.delay,
            name: attack.name.as_str().into(),
            targets,
            stages: stage_headers(attack),
            manner: Manner { timeout: attack.timeout, close: attack.close },
        });
    }
    Ok(parts)
}

fn stage_headers(attack: &Attack) -> Vec<Arc<HeaderMap>> {
    let headers = attack.stages.iter().enumerate().map(|(n, stage)| {
        let mut headers = HeaderMap::new();
        if attack.stage_headers {
            let values =
                [(STAGE, n.to_string()), (RATE, stage.to.to_string()), (DURATION, duration::go(stage.duration))];
            for (name, value) in values {
                // Digits and letters are always allowed in a header.
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.insert(name, value);
                }
            }
        }
        Arc::new(headers)
    });
    headers.collect()
}

struct Clock {
    start: Instant,
    start_ns: u64,
    free: Arc<Semaphore>,
    limits: Limits,
    runtime: Handle,
    records: mpsc::Sender<Record>,
}

impl Clock {
    /// A thread of its own sleeps more exactly than the runtime's timers, and no request delays it.
    fn run(self, mut parts: Vec<Part>) -> u64 {
        let mut count = 0;
        loop {
            let next = parts.iter_mut().filter_map(|part| Some((part.next_due()?, part))).min_by_key(|(due, _)| *due);
            let Some((due, part)) = next else { return count };
            while let Some(wait) = (self.start + due).checked_duration_since(Instant::now()) {
                if self.limits.stop.load(Relaxed) {
                    return count;
                }
                if wait.is_zero() {
                    break;
                }
                thread::sleep(wait.min(LONGEST_SLEEP));
            }
            // Also when it is late and never waits.
            if self.limits.stop.load(Relaxed) {
                return count;
            }
            count += 1;
            self.send(part, due);
            part.seq += 1;
            part.next = part.arrivals.next();
        }
    }

    fn send(&self, part: &Part, due: Duration) {
        let aim = Arc::clone(&part.targets[(part.seq % part.targets.len() as u64) as usize]);
        let stage = part.next.map_or(0, |arrival| arrival.stage);
        let record = Record {
            attack: Arc::clone(&part.name),
            method: Arc::clone(&aim.method),
            url: Arc::clone(&aim.url),
            seq: part.seq,
            due_ns: self.start_ns + nanos(due),
            stage: stage as u32,
            latency: Duration::ZERO,
            late: None,
            exchange: Exchange::default(),
        };
        let due = self.start + due;
        let records = self.records.clone();
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            let (headers, manner) = (Arc::clone(&part.stages[stage]), part.manner);
            self.runtime.spawn(request(record, due, aim, headers, manner, permit, records));
        } else {
            let error = format!("not sent: {} requests under way", self.limits.in_flight).into();
            let record = Record { exchange: Exchange { error, ..Exchange::default() }, ..record };
            self.runtime.spawn(async move { records.send(record).await });
        }
    }
}

async fn request(
    mut record: Record,
    due: Instant,
    aim: Arc<Aim>,
    headers: Arc<HeaderMap>,
    manner: Manner,
    permit: OwnedSemaphorePermit,
    records: mpsc::Sender<Record>,
) {
    record.late = Some(due.elapsed());
    record.exchange = call(&aim.server, &aim.target, &headers, manner).await;
    record.latency = due.elapsed();
    drop(permit);
    // The reader lives until the last sender is gone.
    let _ = records.send(record).await;
}
