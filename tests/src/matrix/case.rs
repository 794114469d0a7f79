//! What is tried on a set of guests. A case goes by statuses, contents and counts, never by times.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use dfaas_agent::{kernel::mode::Mode, name::NodeId};
use dfaas_common::verdict::Verdict;

use super::bed::Bed;
use crate::client::{Answer, Call};

/// A call that takes longer hangs.
const CALL: Duration = Duration::from_mins(1);
/// Calls under way at once.
const AT_ONCE: usize = 4;
/// After so many lost ones the rest would tell nothing new.
const MOST_TROUBLES: usize = 3;
/// For the agent to read the kernel's counters.
const COUNTED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Local,
    Upload,
    NoCall,
    Refusal,
    HandOver,
    Bodies,
}

impl Case {
    pub const ALL: &'static [Self] =
        &[Self::Local, Self::Upload, Self::NoCall, Self::Refusal, Self::HandOver, Self::Bodies];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Upload => "upload",
            Self::NoCall => "no-call",
            Self::Refusal => "refusal",
            Self::HandOver => "hand-over",
            Self::Bodies => "bodies",
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Local => "20 calls that the called node serves",
            Self::Upload => "10 of 100 KiB that it serves and says back",
            Self::NoCall => "10 requests for a path that is no call of a function",
            Self::Refusal => "40 calls of a function that may be called once a second",
            Self::HandOver => "15 calls handed to the other node, in both directions",
            Self::Bodies => "bodies of 1 MiB, served by the called node and handed over in both directions",
        }
    }

    pub const fn needs_peer(self) -> bool {
        matches!(self, Self::HandOver | Self::Bodies)
    }

    /// An error if a call was lost, an answer wrong, or the kernel did not do what its mode promises.
    pub(super) fn run(self, bed: &mut Bed) -> Result<()> {
        match self {
            Self::Local => echoed(bed, 20, "figlet", 200, Way::LOCAL),
            Self::Upload => echoed(bed, 10, "figlet", 100 << 10, Way::LOCAL),
            Self::NoCall => no_call(bed),
            Self::Refusal => refusal(bed),
            Self::HandOver => {
                summed(bed, 15, 100)?;
                echoed(bed, 15, "ocr", 100, Way { called: 1, served: 0 })
            }
            Self::Bodies => {
                echoed(bed, 3, "figlet", 1 << 20, Way::LOCAL)?;
                summed(bed, 3, 1 << 20)?;
                echoed(bed, 3, "ocr", 1 << 20, Way { called: 1, served: 0 })
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Case {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|case| case.name()).collect();
        let found = Self::ALL.iter().find(|case| case.name() == name).copied();
        found.ok_or_else(|| format!("unknown case {name:?}: expected one of {}", names.join(", ")))
    }
}

/// Numbers of the nodes that are called, and that serve.
#[derive(Clone, Copy)]
struct Way {
    called: usize,
    served: usize,
}

impl Way {
    const LOCAL: Self = Self { called: 0, served: 0 };

    /// What the kernels must have counted, at least once a call.
    fn verdicts(self) -> Vec<(usize, Verdict)> {
        if self.called == self.served {
            return vec![(self.called, Verdict::FirstToLocal), (self.called, Verdict::Placed)];
        }
        vec![
            (self.called, Verdict::FirstToPeer),
            (self.served, Verdict::HandoffAccepted),
            (self.served, Verdict::Placed),
            (self.called, Verdict::Returned),
        ]
    }
}

/// Calls whose answer is what was sent.
fn echoed(bed: &mut Bed, calls: usize, function: &str, bytes: usize, way: Way) -> Result<()> {
    let body = pattern(bytes);
    served(bed, calls, function, &body, way, &|answer| {
        ensure!(answer.body == body, "the answer has {} bytes, and is not what was sent", answer.body.len());
        Ok(())
    })
}

/// Calls of `shasum`, which the second node serves.
fn summed(bed: &mut Bed, calls: usize, bytes: usize) -> Result<()> {
    let body = pattern(bytes);
    let first = Mutex::new(None);
    served(bed, calls, "shasum", &body, Way { called: 0, served: 1 }, &|answer| {
        let text = answer.text();
        let mut first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let same = first.get_or_insert_with(|| text.clone());
        ensure!(text.len() >= 128 && *same == text, "the sum is {text:?}, and another time {same:?}");
        Ok(())
    })
}

/// Calls that must all be served by one node, and steered by the kernels if they hand connections off.
fn served(
    bed: &mut Bed,
    calls: usize,
    function: &str,
    body: &[u8],
    way: Way,
    is_right: &(dyn Fn(&Answer) -> Result<()> + Sync),
) -> Result<()> {
    let node = bed.status(way.served)?.node;
    let before = Counts::read(bed)?;
    let call = Call::post(bed.url(way.called, &format!("/function/{function}")), body.to_vec()).timeout(CALL);
    make(bed, calls, &call, &|answer| {
        ensure!(answer.status == 200, "answer {}: {}", answer.status, answer.text().trim());
        ensure!(answer.node() == Some(node.clone()), "served by {}, expected {node}", told(answer.node()));
        is_right(answer)
    })?;
    let wanted = if before.hand_off { way.verdicts() } else { before.observed(way.called) };
    before.wait_grown(bed, &wanted, calls as u64)
}

fn no_call(bed: &mut Bed) -> Result<()> {
    let before = Counts::read(bed)?;
    let call = Call::get(bed.url(0, "/healthz")).timeout(CALL);
    make(bed, 10, &call, &|answer| {
        ensure!(answer.status == 200, "answer {}", answer.status);
        Ok(())
    })?;
    let wanted = if before.hand_off { vec![(0, Verdict::NotACall)] } else { Vec::new() };
    before.wait_grown(bed, &wanted, 10)
}

fn refusal(bed: &mut Bed) -> Result<()> {
    let before = Counts::read(bed)?;
    let call = Call::post(bed.url(0, "/function/env"), "").timeout(CALL);
    let statuses = Mutex::new(BTreeMap::new());
    make(bed, 40, &call, &|answer| {
        ensure!(matches!(answer.status, 200 | 429), "answer {}: {}", answer.status, answer.text().trim());
        let mut statuses = statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *statuses.entry(answer.status).or_insert(0) += 1;
        Ok(())
    })?;
    let statuses = statuses.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure!(statuses.len() == 2, "of 40 calls some are served and some refused, but the answers were {statuses:?}");
    let wanted = if before.hand_off { vec![(0, Verdict::FirstRefused)] } else { before.observed(0) };
    before.wait_grown(bed, &wanted, 1)
}

/// Makes calls, some at once; an error if one was lost, or not right.
fn make(bed: &Bed, calls: usize, call: &Call, is_right: &(dyn Fn(&Answer) -> Result<()> + Sync)) -> Result<()> {
    bed.check()?;
    let client = bed.client()?;
    let (next, made, troubles) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while next.fetch_add(1, Relaxed) < calls {
            made.fetch_add(1, Relaxed);
            if let Err(error) = call.send(&client).and_then(|answer| is_right(&answer)) {
                let mut troubles = troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                troubles.push(format!("{error:#}"));
                if troubles.len() >= MOST_TROUBLES {
                    next.store(calls, Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| (0..AT_ONCE.min(calls)).for_each(|_| drop(scope.spawn(work))));
    let troubles = troubles.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    match troubles.first() {
        None => Ok(()),
        Some(first) => bail!("{} of {} calls failed, the first: {first}", troubles.len(), made.into_inner()),
    }
}

/// Verdicts of all nodes.
struct Counts {
    nodes: Vec<BTreeMap<String, u64>>,
    /// All nodes hand connections off.
    hand_off: bool,
    observe: Vec<bool>,
}

impl Counts {
    fn read(bed: &mut Bed) -> Result<Self> {
        let statuses = (0..bed.nodes.len()).map(|node| bed.status(node)).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            hand_off: statuses.iter().all(|status| status.kernel.mode == Mode::Handoff),
            observe: statuses.iter().map(|status| status.kernel.mode == Mode::Observe).collect(),
            nodes: statuses.into_iter().map(|status| status.kernel.verdicts).collect(),
        })
    }

    fn of(&self, node: usize, verdict: Verdict) -> u64 {
        self.nodes[node].get(verdict.name()).copied().unwrap_or(0)
    }

    fn observed(&self, node: usize) -> Vec<(usize, Verdict)> {
        if self.observe[node] { vec![(node, Verdict::Observed)] } else { Vec::new() }
    }

    /// Waits until each of these has grown by `least`. A packet may come twice, so it may be more.
    fn wait_grown(&self, bed: &mut Bed, wanted: &[(usize, Verdict)], least: u64) -> Result<()> {
        let deadline = Instant::now() + COUNTED;
        loop {
            let now = Self::read(bed)?;
            let grown = |node, verdict| now.of(node, verdict).saturating_sub(self.of(node, verdict));
            let lacks = wanted.iter().find(|(node, verdict)| grown(*node, *verdict) < least);
            let Some((node, verdict)) = lacks else { return Ok(()) };
            if Instant::now() > deadline {
                let (name, grown) = (bed.nodes[*node].name, grown(*node, *verdict));
                bail!("{name} counted {} {grown} times, expected at least {least}", verdict.name());
            }
            bed.check()?;
            thread::sleep(POLL);
        }
    }
}

fn told(node: Option<NodeId>) -> String {
    node.map_or("nobody".to_owned(), |node| node.to_string())
}

/// Bytes in which a piece that is missing or doubled shows.
fn pattern(bytes: usize) -> Vec<u8> {
    (0u32..).flat_map(|n| format!("{n:08x}").into_bytes()).take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_found_by_its_name() {
        for case in Case::ALL {
            assert_eq!(case.name().parse::<Case>(), Ok(*case));
        }
        assert!("vlan".parse::<Case>().unwrap_err().contains("hand-over"));
    }

    #[test]
    fn a_body_has_its_length_and_no_two_pieces_alike() {
        let body = pattern(1 << 20);
        assert_eq!(body.len(), 1 << 20);
        let pieces: std::collections::BTreeSet<&[u8]> = body.chunks(8).collect();
        assert_eq!(pieces.len(), body.len() / 8);
    }
}
