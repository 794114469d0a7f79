//! What a federation is to look like.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use dfaas_agent::kernel::mode::{Mode, XdpPlace};

use crate::stop::Stop;

/// The functions that the embedded platform brings along.
pub const FUNCTIONS: [&str; 4] = ["figlet", "shasum", "ocr", "env"];
const MAX_NODES: usize = 99;
const MAX_GUESTS: usize = 9;

/// Where the switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the host, which can call the nodes.
    Host,
    /// In a namespace: nothing on the host is touched.
    Hidden,
}

/// What runs the functions of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Functions {
    /// The agent's embedded platform.
    InAgent,
    /// A platform beside the agent, which outlives it.
    Lasting,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub nodes: usize,
    /// Calls per second and function, by node; the last repeats.
    pub rate_limits: Vec<u32>,
    /// The same for single functions.
    pub rate_limits_of: BTreeMap<String, Vec<u32>>,
    pub strategy: String,
    pub mode: Mode,
    /// `None`: native, else generic.
    pub xdp: Option<XdpPlace>,
    pub place: Place,
    pub functions: Functions,
    /// Hosts without an agent, for what else is to be on the network.
    pub guests: usize,
    /// The agent's program.
    pub agent: PathBuf,
    /// Where a directory for configuration, state and logs is made.
    pub directory: PathBuf,
    /// More settings for every agent.
    pub settings: BTreeMap<String, String>,
    /// Ends waiting.
    pub stop: Stop,
}

impl Options {
    /// Three nodes as in the first figure of the paper, hidden.
    pub fn new(agent: &Path, directory: &Path) -> Self {
        Self {
            nodes: 3,
            rate_limits: vec![10, 20, 30],
            rate_limits_of: BTreeMap::new(),
            strategy: "recalcstrategy".to_owned(),
            mode: Mode::Handoff,
            xdp: None,
            place: Place::Hidden,
            functions: Functions::InAgent,
            guests: 0,
            agent: agent.to_owned(),
            directory: directory.to_owned(),
            settings: BTreeMap::new(),
            stop: Stop::default(),
        }
    }

    /// Calls per second of a function on the node `i`.
    pub fn rate_limit(&self, function: &str, i: usize) -> u32 {
        let limits = self.rate_limits_of.get(function).unwrap_or(&self.rate_limits);
        limits.get(i).or(limits.last()).copied().unwrap_or(0)
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!(nix::unistd::geteuid().is_root(), "not root: making network namespaces needs it");
        ensure!((1..=MAX_NODES).contains(&self.nodes), "{} nodes: expected 1 to {MAX_NODES}", self.nodes);
        ensure!(self.guests <= MAX_GUESTS, "{} guests: expected at most {MAX_GUESTS}", self.guests);
        ensure!(!self.rate_limits.is_empty(), "no rate limits: expected one for each node");
        ensure!(self.agent.is_file(), "no agent at {}: expected its program", self.agent.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_limit_repeats_and_single_functions_have_their_own() {
        let mut options = Options::new(Path::new("a"), Path::new("d"));
        options.rate_limits_of.insert("env".to_owned(), vec![0, 7]);
        let limits = |function| [0, 1, 2, 3].map(|i| options.rate_limit(function, i));
        assert_eq!(limits("figlet"), [10, 20, 30, 30]);
        assert_eq!(limits("env"), [0, 7, 7, 7]);
    }
}
