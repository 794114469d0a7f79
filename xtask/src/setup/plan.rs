//! Looks, acts, and looks again: what is chosen before the package lists were fetched may be wrong afterwards. No I/O.

use std::fmt;

use super::report::{self, Finding, Otherwise, Remedy};
use crate::{build_ebpf::compiler::version_is_at_least, versions::KERNEL_NIGHTLY};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Finish what an interrupted installation left half done.
    Repair,
    FetchLists,
    Install(Vec<&'static str>),
    /// The kernel-side compiler, by rustup.
    Nightly,
    BpfLinker,
}

/// Why an action failed, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Somebody else installs packages, and did not end while we waited.
    Locked(String),
    Other(String),
}

/// What the set-up asks of a machine, and does to it.
pub(super) trait Machine {
    /// All that was not found, the optional too, as of now.
    fn missing(&self) -> Vec<Finding>;
    fn has_apt(&self) -> bool;
    fn has_lists(&self) -> bool;
    fn is_half_installed(&self) -> bool;
    /// The version of a package that apt would install now.
    fn candidate(&self, package: &str) -> Option<String>;
    fn has_rustup(&self) -> bool;
    fn has_compiler(&self) -> bool;
    fn act(&mut self, action: &Action) -> Result<(), Failure>;
}

type Done = Vec<(Action, Result<(), Failure>)>;

/// Until nothing needed is missing, or nothing is left to try. No action is tried twice with the same package lists.
pub(super) fn complete(machine: &mut impl Machine) -> Result<(), Stuck> {
    let mut done = Done::new();
    loop {
        let missing = machine.missing();
        if let Some(action) = next(machine, &missing, &done) {
            let result = machine.act(&action);
            done.push((action, result));
        } else if missing.iter().all(|finding| finding.optional) {
            return Ok(());
        } else {
            return Err(Stuck::new(machine, &missing, done));
        }
    }
}

fn next(machine: &impl Machine, missing: &[Finding], done: &Done) -> Option<Action> {
    let tried = |action: &Action| done.iter().any(|(one, _)| one == action);
    let lacks = |way| missing.iter().any(|finding| finding.remedy.otherwise == Some(way));
    if let Some(action) = next_of_packages(machine, missing, done) {
        return Some(action);
    }
    // What downloads from elsewhere comes last: it fails where only a mirror of the distribution is reached.
    if lacks(Otherwise::Nightly) && machine.has_rustup() && !tried(&Action::Nightly) {
        return Some(Action::Nightly);
    }
    (lacks(Otherwise::BpfLinker) && machine.has_compiler() && !tried(&Action::BpfLinker)).then_some(Action::BpfLinker)
}

fn next_of_packages(machine: &impl Machine, missing: &[Finding], done: &Done) -> Option<Action> {
    let is_locked = done.iter().any(|(_, result)| matches!(result, Err(Failure::Locked(_))));
    let wanted: Vec<&Finding> = missing.iter().filter(|finding| !finding.remedy.sets.is_empty()).collect();
    if wanted.is_empty() || !machine.has_apt() || is_locked {
        return None;
    }
    if machine.is_half_installed() && done.iter().all(|(action, _)| *action != Action::Repair) {
        return Some(Action::Repair);
    }
    let fetched = done.iter().rposition(|(action, _)| *action == Action::FetchLists);
    let choices: Vec<_> = wanted.iter().map(|finding| (finding, choose(machine, finding.remedy))).collect();
    let is_unknown = choices.iter().any(|(finding, choice)| !finding.optional && choice.is_none());
    if fetched.is_none() && (!machine.has_lists() || is_unknown) {
        return Some(Action::FetchLists);
    }
    let is_renewed = fetched.is_some_and(|at| done[at].1.is_ok());
    let since = if is_renewed { &done[fetched.unwrap_or_default()..] } else { done };
    let untried = |action: &Action| since.iter().all(|(one, _)| one != action);
    let sets: Vec<_> = choices.iter().filter_map(|(_, choice)| *choice).collect();
    let all = Action::Install(names(&sets));
    if !sets.is_empty() && untried(&all) {
        return Some(all);
    }
    if fetched.is_none() && !sets.is_empty() {
        // The lists name versions that the mirror may have no more.
        return Some(Action::FetchLists);
    }
    // One package that cannot be installed is not to keep the others away.
    let mut single = sets.iter().map(|set| Action::Install(names(&[*set])));
    if is_renewed { single.find(untried) } else { None }
}

type Set = &'static [&'static str];

/// The first set that apt knows wholly, and that would serve.
fn choose(machine: &impl Machine, remedy: Remedy) -> Option<Set> {
    let serves = |set: &Set| {
        set.iter().all(|package| {
            let candidate = machine.candidate(package);
            let least = remedy.least.filter(|(of, _)| of == package);
            candidate
                .is_some_and(|version| least.is_none_or(|(_, least)| version_is_at_least(upstream(&version), least)))
        })
    };
    remedy.sets.iter().copied().find(serves)
}

/// A Debian version without its epoch.
fn upstream(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

fn names(sets: &[Set]) -> Vec<&'static str> {
    let mut names: Vec<&str> = sets.iter().flat_map(|set| set.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What is still missing when nothing is left to try: why, and the command that would bring it.
#[derive(Debug)]
pub(super) struct Stuck {
    missing: String,
    /// One line each.
    reasons: Vec<String>,
    commands: Vec<String>,
}

impl Stuck {
    fn new(machine: &impl Machine, missing: &[Finding], done: Done) -> Self {
        let needed = report::missing(missing);
        let failed = done.into_iter().filter_map(|(action, result)| {
            let (Failure::Locked(text) | Failure::Other(text)) = result.err()?;
            Some(format!("`{action}` failed: {text}"))
        });
        let mut reasons: Vec<String> = failed.chain(needed.iter().filter_map(|one| unfit(machine, one))).collect();
        if !machine.has_apt() {
            reasons.push("this machine has no apt-get; the names of packages are Debian's".to_owned());
        }
        let sets: Vec<Set> =
            needed.iter().filter_map(|one| choose(machine, one.remedy).or(one.remedy.sets.first().copied())).collect();
        let by_apt = (!sets.is_empty())
            .then(|| format!("as root: apt-get update && apt-get install {}", names(&sets).join(" ")));
        let others = needed.iter().filter_map(|one| one.remedy.otherwise).filter_map(Otherwise::command);
        let mut commands: Vec<String> = by_apt.into_iter().chain(others).collect();
        commands.dedup();
        Self { missing: report::names(&needed), reasons, commands }
    }
}

/// A package that is there, and would not serve.
fn unfit(machine: &impl Machine, finding: &Finding) -> Option<String> {
    let (package, least) = finding.remedy.least?;
    let candidate = machine.candidate(package)?;
    (!version_is_at_least(upstream(&candidate), least))
        .then(|| format!("this distribution has {package} {candidate}, expected {least} or later"))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repair => f.write_str("dpkg --configure --pending"),
            Self::FetchLists => f.write_str("apt-get update"),
            Self::Install(packages) => write!(f, "apt-get install {}", packages.join(" ")),
            Self::Nightly => write!(f, "rustup toolchain install {KERNEL_NIGHTLY}"),
            Self::BpfLinker => f.write_str("cargo install bpf-linker"),
        }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "still missing: {}", self.missing)?;
        self.reasons.iter().try_for_each(|reason| write!(f, "\n  {reason}"))?;
        self.commands.iter().try_for_each(|command| write!(f, "\n  by hand: {command}"))?;
        f.write_str("\n  then again: cargo xtask setup")
    }
}

impl std::error::Error for Stuck {}

#[cfg(test)]
mod tests;
