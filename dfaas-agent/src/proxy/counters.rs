//! Cumulative counts: every worker starts at zero, so the agent adds up all workers it has seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CliError, Rendered,
    runtime_api::Cli,
    tables::{CHECKS, Count, NO_FUNCTION, function_of_peers_backend},
};
use crate::name::{FunctionName, NodeId};

/// Calls since the agent first saw the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub functions: BTreeMap<FunctionName, FunctionSample>,
    /// Refused with 403: path not allowed, or a sender that is not who it says.
    pub forbidden: u64,
    /// Refused with 404: no such function.
    pub unknown: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionSample {
    /// First requests of connections the kernel placed here; the kernel has counted them too.
    pub placed_first: u64,
    /// Later requests on such connections.
    pub placed_kept: u64,
    /// Client calls that came to the service address.
    pub service: u64,
    /// Calls of clients and peers that this node executed.
    pub served_local: u64,
    /// Client calls answered with 429.
    pub refused: u64,
    pub from_peers: BTreeMap<NodeId, PeerSample>,
    /// Client calls sent on to each peer.
    pub forwarded: BTreeMap<NodeId, u64>,
    /// Calls executed here in the last second.
    pub local_rate: u32,
}

/// What a peer sent for one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSample {
    /// Calls with `DFaaS-Node-ID`.
    pub forwarded: u64,
    /// Requests on connections its kernel handed to ours.
    pub handed_off: u64,
    /// Answered with 429: above the grant, or not deployed here.
    pub refused: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Row of `st_calls` and position in it.
    Call(String, Count),
    /// Calls sent to a peer.
    Sent(FunctionName, NodeId),
}

type Counts = BTreeMap<Key, u64>;

/// All counts of one worker; `None` if it lives but did not answer.
pub(super) struct Reading {
    pid: u32,
    counts: Option<Counts>,
}

impl Reading {
    pub(super) fn missing(pid: u32) -> Self {
        Self { pid, counts: None }
    }
}

/// Asks a worker; `prefix` selects it on the master's socket.
pub(super) async fn read_worker(cli: &Cli, prefix: &str, pid: u32) -> Result<Reading, CliError> {
    let quit = if prefix.is_empty() { "" } else { ";quit" };
    let mut counts = Counts::new();
    table_counts(&cli.ask(&format!("{prefix}show table st_calls{quit}")).await?, &mut counts);
    sent_counts(&cli.ask(&format!("{prefix}show stat -1 4 -1{quit}")).await?, &mut counts);
    Ok(Reading { pid, counts: Some(counts) })
}

/// Sums over workers; what a worker had counted stays when it ends.
#[derive(Default)]
pub(super) struct Accumulator {
    ended: Counts,
    live: BTreeMap<u32, Counts>,
    functions: BTreeSet<FunctionName>,
}

impl Accumulator {
    /// Takes the readings of all workers that live; names that `rendered` lacks are forgotten.
    pub(super) fn absorb(&mut self, readings: Vec<Reading>, rendered: &Rendered) {
        let alive: BTreeSet<u32> = readings.iter().map(|reading| reading.pid).collect();
        let gone: Vec<u32> = self.live.keys().filter(|pid| !alive.contains(pid)).copied().collect();
        for counts in gone.iter().filter_map(|pid| self.live.remove(pid)) {
            add(&mut self.ended, &counts);
        }
        for Reading { pid, counts } in readings {
            let Some(counts) = counts else { continue };
            let last = self.live.insert(pid, counts).unwrap_or_default();
            // A count that fell began anew, be it by a reused pid, an evicted row or an overflow.
            let now = &self.live[&pid];
            let fell: Counts = last.into_iter().filter(|(key, n)| now.get(key).is_none_or(|m| m < n)).collect();
            add(&mut self.ended, &fell);
        }
        self.functions = rendered.functions();
        let functions = &self.functions;
        self.ended.retain(|key, _| match key {
            Key::Call(row, _) => row == NO_FUNCTION || split_row(row).is_some_and(|(f, _)| functions.contains(&f)),
            Key::Sent(function, _) => functions.contains(function),
        });
    }

    pub(super) fn sample(&self, local_rates: &BTreeMap<FunctionName, u32>) -> Sample {
        let mut totals = self.ended.clone();
        self.live.values().for_each(|counts| add(&mut totals, counts));
        let mut sample = Sample::default();
        for function in &self.functions {
            let local_rate = local_rates.get(function).copied().unwrap_or(0);
            sample.functions.insert(function.clone(), FunctionSample { local_rate, ..FunctionSample::default() });
        }
        for (key, n) in totals {
            match key {
                Key::Call(row, count) if row == NO_FUNCTION => match count {
                    Count::Forbidden => sample.forbidden += n,
                    Count::Unknown => sample.unknown += n,
                    _ => {}
                },
                Key::Call(row, count) => {
                    let Some((function, peer)) = split_row(&row) else { continue };
                    let Some(of) = sample.functions.get_mut(&function) else { continue };
                    of.add(peer, count, n);
                }
                Key::Sent(function, peer) => {
                    if let Some(of) = sample.functions.get_mut(&function) {
                        of.forwarded.insert(peer, n);
                    }
                }
            }
        }
        sample
    }
}

impl FunctionSample {
    fn add(&mut self, peer: Option<NodeId>, count: Count, n: u64) {
        if count == Count::ServedLocal {
            self.served_local += n;
            return;
        }
        let Some(peer) = peer else {
            match count {
                Count::PlacedFirst => self.placed_first += n,
                Count::PlacedKept => self.placed_kept += n,
                Count::Service => self.service += n,
                Count::RefusedSaturated => self.refused += n,
                _ => {}
            }
            return;
        };
        let of = self.from_peers.entry(peer).or_default();
        match count {
            Count::FromPeer => of.forwarded += n,
            Count::HandedOff => of.handed_off += n,
            Count::RefusedGrant | Count::RefusedSaturated => of.refused += n,
            _ => {}
        }
    }
}

fn add(to: &mut Counts, counts: &Counts) {
    for (key, n) in counts {
        *to.entry(key.clone()).or_default() += n;
    }
}

/// `figlet` counts clients, `figlet,<peer>` that peer.
fn split_row(row: &str) -> Option<(FunctionName, Option<NodeId>)> {
    match row.split_once(',') {
        None => Some((row.parse().ok()?, None)),
        Some((function, peer)) => Some((function.parse().ok()?, Some(peer.parse().ok()?))),
    }
}

/// Rows `0x…: key=figlet use=0 exp=0 gpc0=0 gpc1=5 …` of `show table`.
fn rows(table: &str) -> impl Iterator<Item = (&str, Vec<(&str, u64)>)> {
    table.lines().filter_map(|line| {
        let words = line.split_whitespace().filter_map(|word| word.split_once('='));
        let (mut key, mut values) = (None, Vec::new());
        for (name, value) in words {
            if name == "key" {
                key = Some(value);
            } else if let Ok(value) = value.parse() {
                values.push((name, value));
            }
        }
        Some((key?, values))
    })
}

fn table_counts(table: &str, counts: &mut Counts) {
    for (key, values) in rows(table) {
        for count in Count::ALL.into_iter().filter(|count| *count != Count::Slot) {
            let name = format!("gpc{}", count.index());
            if let Some((_, n)) = values.iter().find(|(of, n)| *of == name && *n > 0) {
                counts.insert(Key::Call(key.to_owned(), count), *n);
            }
        }
    }
}

/// Rates of `st_local`.
pub(super) fn local_rates(table: &str) -> BTreeMap<FunctionName, u32> {
    let rate = |(key, values): (&str, Vec<(&str, u64)>)| {
        let (_, rate) = values.into_iter().find(|(name, _)| name.starts_with("http_req_rate"))?;
        Some((key.parse().ok()?, rate as u32))
    };
    rows(table).filter_map(rate).collect()
}

/// Rows of `show stat`: backend, server, and the wanted column, found by its name in the header.
fn stat_rows<'a>(stat: &'a str, column: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let mut lines = stat.lines();
    let header = lines.by_ref().find_map(|line| line.strip_prefix("# "));
    let Some(index) = header.and_then(|header| header.split(',').position(|name| name == column)) else {
        return Vec::new();
    };
    let row = |line: &'a str| {
        let mut fields = line.split(',');
        let (backend, server) = (fields.next()?, fields.next()?);
        Some((backend, server, fields.nth(index.checked_sub(2)?)?))
    };
    lines.filter_map(row).collect()
}

fn sent_counts(stat: &str, counts: &mut Counts) {
    for (backend, server, total) in stat_rows(stat, "stot") {
        if let (Some(function), Ok(peer), Ok(n)) =
            (function_of_peers_backend(backend), server.parse(), total.parse::<u64>())
            && n > 0
        {
            counts.insert(Key::Sent(function, peer), n);
        }
    }
}

/// `UP`, `UP 1/2`, `DOWN 1/2`, …: a server that fails a check is used until it is down.
pub(super) fn peer_states(stat: &str) -> BTreeMap<NodeId, bool> {
    let checks = stat_rows(stat, "status").into_iter().filter(|(backend, ..)| *backend == CHECKS);
    checks.filter_map(|(_, server, status)| Some((server.parse().ok()?, status.starts_with("UP")))).collect()
}

#[cfg(test)]
mod tests;
