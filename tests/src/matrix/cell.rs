//! One cell of the matrix: a kernel and the interfaces of the nodes, and what came of the cases.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;
use dfaas_agent::{kernel::mode::Mode, status::KernelStatus};
use serde::Serialize;

use super::{
    bed::{Bed, Setup},
    case::Case,
};
use crate::stop::Stop;

#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub kernel: String,
    /// Of the first node and, if there is one, of the second.
    pub nics: Vec<&'static str>,
    /// How the kernel path of each node runs; empty if they did not start.
    pub nodes: Vec<Path>,
    pub cases: Vec<Tried>,
    /// Why there are no cases, or not all.
    pub error: Option<String>,
    /// For comparing with the next run only: it is the emulation that takes them.
    pub seconds: u64,
}

/// How the kernel path of a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Path {
    pub mode: Mode,
    /// `native` or `generic`; empty without XDP.
    pub xdp: String,
    /// Why it is not a better one.
    pub why: Vec<String>,
    /// Instructions that this kernel's verifier went through, by program.
    pub verified: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    pub case: &'static str,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

impl Path {
    fn of(kernel: &KernelStatus, verified: BTreeMap<String, u64>) -> Self {
        Self { mode: kernel.mode, xdp: kernel.xdp.clone(), why: kernel.why.clone(), verified }
    }

    pub fn is_best(&self) -> bool {
        self.mode == Mode::Handoff && self.xdp == "native"
    }

    pub fn text(&self) -> String {
        if self.xdp.is_empty() { self.mode.to_string() } else { format!("{}, {}", self.mode, self.xdp) }
    }
}

impl Cell {
    /// Boots the guests, and runs the cases that they are enough for.
    pub fn run(setup: &Setup, cases: &[Case], stop: &Stop, say: &dyn Fn(&str)) -> Self {
        let begin = Instant::now();
        let mut cell = Self {
            kernel: setup.kernel.release.clone(),
            nics: setup.nics.iter().map(|nic| nic.name).collect(),
            nodes: Vec::new(),
            cases: Vec::new(),
            error: None,
            seconds: 0,
        };
        cell.error = cell.fill(setup, cases, stop, say).err().map(|error| format!("{error:#}"));
        cell.seconds = begin.elapsed().as_secs();
        cell
    }

    fn fill(&mut self, setup: &Setup, cases: &[Case], stop: &Stop, say: &dyn Fn(&str)) -> Result<()> {
        let mut bed = Bed::start(setup, stop, say)?;
        for node in 0..setup.nics.len() {
            let verified = bed.nodes[node].verified();
            self.nodes.push(Path::of(&bed.status(node)?.kernel, verified));
        }
        let enough = |case: &&Case| setup.nics.len() > 1 || !case.needs_peer();
        for case in cases.iter().filter(enough) {
            stop.check()?;
            say(&format!("case {case}"));
            let error = case.run(&mut bed).err().map(|error| format!("{error:#}"));
            if error.is_some() {
                bed.nodes.iter_mut().try_for_each(|node| node.keep_log(&setup.logs))?;
            }
            self.cases.push(Tried { case: case.name(), error });
        }
        Ok(())
    }

    /// What is wrong, one sentence each. A mode that is not the best one is right if the agent says why.
    pub fn faults(&self) -> Vec<String> {
        let failed = self.cases.iter().filter_map(|tried| Some(format!("{}: {}", tried.case, tried.error.as_ref()?)));
        let silent = self.nodes.iter().zip(&self.nics).filter(|(node, _)| !node.is_best() && node.why.is_empty());
        let silent = silent.map(|(node, nic)| format!("{nic}: {}, and the agent does not say why", node.text()));
        self.error.iter().cloned().chain(failed).chain(silent).collect()
    }

    /// Why nodes do not run in the best mode.
    pub fn reasons(&self) -> Vec<String> {
        let nodes = self.nodes.iter().zip(&self.nics).filter(|(node, _)| !node.why.is_empty());
        let mut reasons: Vec<String> =
            nodes.map(|(node, nic)| format!("{nic}: {}: {}", node.text(), node.why.join("; "))).collect();
        reasons.dedup();
        reasons
    }

    /// How much work the programs were for this kernel's verifier.
    pub fn verifier(&self) -> Vec<String> {
        let told = self.nodes.first().filter(|node| !node.verified.is_empty());
        told.map(|node| {
            let programs: Vec<String> = node.verified.iter().map(|(name, n)| format!("{name} {n}")).collect();
            format!("{} instructions", programs.join(", "))
        })
        .into_iter()
        .collect()
    }

    /// For the table: how the kernel path runs, and whether all is well.
    pub fn text(&self) -> String {
        let mut paths: Vec<String> = self.nodes.iter().map(Path::text).collect();
        paths.dedup();
        let failed = self.cases.iter().filter(|tried| tried.error.is_some()).count();
        let verdict = match (&self.error, failed, self.faults().len()) {
            (Some(_), ..) => "DID NOT RUN".to_owned(),
            (None, 0, 0) => "ok".to_owned(),
            (None, 0, _) => "NO REASON".to_owned(),
            (None, failed, _) => format!("{failed} of {} FAILED", self.cases.len()),
        };
        paths.into_iter().chain([verdict]).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(mode: Mode, xdp: &str, why: &[&str], errors: &[Option<&str>]) -> Cell {
        let node = Path {
            mode,
            xdp: xdp.to_owned(),
            why: why.iter().map(|text| (*text).to_owned()).collect(),
            verified: BTreeMap::new(),
        };
        let cases = errors.iter().map(|error| Tried { case: "local", error: error.map(str::to_owned) });
        Cell {
            kernel: "6.12".to_owned(),
            nics: vec!["virtio", "virtio"],
            nodes: vec![node.clone(), node],
            cases: cases.collect(),
            error: None,
            seconds: 0,
        }
    }

    #[test]
    fn a_lost_call_is_a_fault_and_a_served_one_is_not() {
        assert_eq!(cell(Mode::Handoff, "native", &[], &[None, None]).text(), "handoff, native, ok");
        let lost = cell(Mode::Handoff, "native", &[], &[None, Some("1 of 20 calls failed")]);
        assert_eq!(lost.text(), "handoff, native, 1 of 2 FAILED");
        assert_eq!(lost.faults(), ["local: 1 of 20 calls failed"]);
    }

    #[test]
    fn a_lesser_mode_is_right_if_it_says_why() {
        let told = cell(Mode::Observe, "generic", &["kernel 6.1"], &[None]);
        assert_eq!(told.text(), "observe, generic, ok");
        assert_eq!(told.reasons(), ["virtio: observe, generic: kernel 6.1"]);
        let silent = cell(Mode::Handoff, "generic", &[], &[None]);
        assert_eq!(silent.text(), "handoff, generic, NO REASON");
        assert!(silent.faults()[0].contains("does not say why"));
    }

    #[test]
    fn guests_that_did_not_start_are_a_fault() {
        let mut none = cell(Mode::Handoff, "native", &[], &[]);
        none.nodes.clear();
        none.error = Some("n1: the machine has ended".to_owned());
        assert_eq!((none.text().as_str(), none.faults().len()), ("DID NOT RUN", 1));
    }
}
