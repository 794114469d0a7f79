//! Cumulative counts. Every worker counts in rows of its own, which it hands to its successor; the agent adds
//! them up and remembers those that vanished.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Rendered,
    sample::{FunctionSample, Sample},
    stat::ResponseTimes,
    tables::{Count, NO_FUNCTION},
};
use crate::name::{FunctionName, NodeId};

pub(super) const SHOW_CALLS: &str = "show table tables/st_calls";

type Row = [u64; Count::LEN];

/// What the workers say at one time: rows named `<what>@<pid>`.
#[derive(Default)]
pub(super) struct Reading {
    rows: BTreeMap<String, Row>,
    /// Rows told by the very worker that counts in them, not by one that has a copy.
    own: BTreeSet<String>,
    incomplete: bool,
}

impl Reading {
    /// Takes the answer of the worker `pid` to [`SHOW_CALLS`]. A row that several know is newest where it is highest.
    pub(super) fn add_worker(&mut self, pid: Option<u32>, table: &str) {
        for (key, values) in rows(table) {
            if pid.is_some() && key.rsplit_once('@').and_then(|(_, of)| of.parse().ok()) == pid {
                self.own.insert(key.to_owned());
            }
            let row = self.rows.entry(key.to_owned()).or_default();
            for (name, value) in values {
                let index = name.strip_prefix("gpc").and_then(|index| index.parse::<usize>().ok());
                if let Some(count) = index.and_then(|index| row.get_mut(index)) {
                    *count = (*count).max(value);
                }
            }
        }
    }

    /// Rows that are missing may still exist: a worker did not answer, or has yet to hand its rows over.
    pub(super) fn incomplete(&mut self) {
        self.incomplete = true;
    }
}

struct Live {
    row: Row,
    /// The last complete reading lacked it. A worker may have handed it over and ended while that was taken,
    /// so only the next one tells that it is gone.
    missing: bool,
}

/// Sums over all rows ever seen.
#[derive(Default)]
pub(super) struct Accumulator {
    /// Rows without their pid.
    ended: BTreeMap<String, Row>,
    live: BTreeMap<String, Live>,
    functions: BTreeSet<FunctionName>,
}

impl Accumulator {
    /// Names that `rendered` lacks are forgotten.
    pub(super) fn absorb(&mut self, mut reading: Reading, rendered: &Rendered) {
        for (key, Live { row, missing }) in std::mem::take(&mut self.live) {
            match reading.rows.get_mut(&key) {
                Some(now) if now.iter().zip(&row).all(|(now, before)| now >= before) => {}
                // The last counts of a worker that has ended did not reach the copies of its row.
                Some(copy) if !reading.own.contains(&key) => {
                    copy.iter_mut().zip(&row).for_each(|(count, before)| *count = (*count).max(*before));
                }
                None if reading.incomplete || !missing => {
                    self.live.insert(key, Live { row, missing: missing || !reading.incomplete });
                }
                // A count that fell began anew: an expired row that came back, or a reused pid.
                Some(_) | None => add(self.ended.entry(without_pid(&key).to_owned()).or_default(), &row),
            }
        }
        self.live.extend(reading.rows.into_iter().map(|(key, row)| (key, Live { row, missing: false })));
        self.functions = rendered.functions();
        let functions = &self.functions;
        self.ended.retain(|what, _| match What::parse(what) {
            Some(What::Client(function) | What::FromPeer(function, _) | What::Sent(function, _)) => {
                functions.contains(&function)
            }
            Some(What::NoFunction) => true,
            None => false,
        });
    }

    pub(super) fn sample(&self, local_rates: &BTreeMap<FunctionName, u32>, times: &ResponseTimes) -> Sample {
        let mut sample = Sample::default();
        for function in &self.functions {
            let of = FunctionSample {
                local_rate: local_rates.get(function).copied().unwrap_or(0),
                local_response_ms: times.local(function),
                forward_response_ms: times.peers(function),
                ..FunctionSample::default()
            };
            sample.functions.insert(function.clone(), of);
        }
        let live = self.live.iter().map(|(key, live)| (without_pid(key), &live.row));
        for (what, row) in self.ended.iter().map(|(what, row)| (what.as_str(), row)).chain(live) {
            if let Some(what) = What::parse(what) {
                sample.add(what, row);
            }
        }
        sample
    }
}

impl Sample {
    fn add(&mut self, what: What, row: &Row) {
        let count = |count: Count| row[usize::from(count.index())];
        match what {
            What::NoFunction => {
                self.forbidden += count(Count::Forbidden);
                self.unknown += count(Count::Unknown);
            }
            What::Client(function) => {
                let Some(of) = self.functions.get_mut(&function) else { return };
                of.placed_first += count(Count::PlacedFirst);
                of.placed_kept += count(Count::PlacedKept);
                of.service += count(Count::Service);
                of.served_local += count(Count::ServedLocal);
                of.served_well += count(Count::ServedWell);
                of.refused += count(Count::RefusedSaturated);
            }
            What::FromPeer(function, peer) => {
                let Some(of) = self.functions.get_mut(&function) else { return };
                of.served_local += count(Count::ServedLocal);
                of.served_well += count(Count::ServedWell);
                let of = of.from_peers.entry(peer).or_default();
                of.forwarded += count(Count::FromPeer);
                of.handed_off += count(Count::HandedOff);
                of.refused += count(Count::RefusedGrant) + count(Count::RefusedSaturated);
            }
            What::Sent(function, peer) => {
                let Some(of) = self.functions.get_mut(&function) else { return };
                *of.forwarded.entry(peer.clone()).or_default() += count(Count::Sent);
                *of.forwarded_well.entry(peer).or_default() += count(Count::SentWell);
            }
        }
    }
}

/// What a row counts.
enum What {
    NoFunction,
    Client(FunctionName),
    FromPeer(FunctionName, NodeId),
    Sent(FunctionName, NodeId),
}

impl What {
    fn parse(what: &str) -> Option<Self> {
        if what == NO_FUNCTION {
            return Some(Self::NoFunction);
        }
        if let Some((function, peer)) = what.split_once(',') {
            return Some(Self::FromPeer(function.parse().ok()?, peer.parse().ok()?));
        }
        if let Some((function, peer)) = what.split_once('>') {
            return Some(Self::Sent(function.parse().ok()?, peer.parse().ok()?));
        }
        Some(Self::Client(what.parse().ok()?))
    }
}

fn without_pid(key: &str) -> &str {
    key.rsplit_once('@').map_or(key, |(what, _)| what)
}

fn add(to: &mut Row, row: &Row) {
    for (to, n) in to.iter_mut().zip(row) {
        *to += n;
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

/// Rates of `st_local`.
pub(super) fn local_rates(table: &str) -> BTreeMap<FunctionName, u32> {
    let rate = |(key, values): (&str, Vec<(&str, u64)>)| {
        let (_, rate) = values.into_iter().find(|(name, _)| name.starts_with("http_req_rate"))?;
        Some((key.parse().ok()?, rate as u32))
    };
    rows(table).filter_map(rate).collect()
}

#[cfg(test)]
mod tests;
