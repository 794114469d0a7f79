//! The machine that the set-up is for: looked at by running things, acted on by steps.

use std::{cell::OnceCell, collections::BTreeMap, process::Command, time::Duration};

use super::{
    Part, apt, inspect,
    plan::{Action, Failure, Machine},
    report::Finding,
};
use crate::{
    build_ebpf::{compiler, linker},
    project::{Project, find_program},
    step::Step,
    versions::KERNEL_NIGHTLY,
};

pub(super) struct ThisMachine<'a> {
    project: &'a Project,
    parts: &'a [Part],
    /// Of all packages that may be asked for; forgotten with every change.
    candidates: OnceCell<BTreeMap<String, String>>,
}

impl<'a> ThisMachine<'a> {
    pub(super) fn new(project: &'a Project, parts: &'a [Part]) -> Self {
        Self { project, parts, candidates: OnceCell::new() }
    }
}

impl Machine for ThisMachine<'_> {
    fn missing(&self) -> Vec<Finding> {
        inspect(self.project, self.parts).into_iter().filter(|finding| !finding.is_found()).collect()
    }

    fn has_apt(&self) -> bool {
        apt::is_there()
    }

    fn has_lists(&self) -> bool {
        apt::has_lists()
    }

    fn is_half_installed(&self) -> bool {
        apt::is_half_installed()
    }

    fn candidate(&self, package: &str) -> Option<String> {
        self.candidates.get_or_init(|| apt::candidates(&super::all_packages())).get(package).cloned()
    }

    fn has_rustup(&self) -> bool {
        find_program(&["rustup"]).is_some()
    }

    fn has_compiler(&self) -> bool {
        compiler::find().is_ok()
    }

    fn act(&mut self, action: &Action) -> Result<(), Failure> {
        self.candidates.take();
        match action {
            Action::Repair => apt::repair(self.project),
            Action::FetchLists => apt::fetch_lists(self.project),
            Action::Install(packages) => apt::install(self.project, packages),
            Action::Nightly => nightly(self.project).map_err(|error| one_line(&error)),
            Action::BpfLinker => bpf_linker(self.project).map_err(|error| one_line(&error)),
        }
    }
}

fn one_line(error: &anyhow::Error) -> Failure {
    let text = format!("{error:#}");
    // The rest is the end of a log, which the first lines name.
    let lines: Vec<&str> = text.lines().take(3).map(str::trim).collect();
    Failure::Other(lines.join("; "))
}

fn nightly(project: &Project) -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_mins(15);
    let mut command = Command::new(find_program(&["rustup"]).unwrap_or_else(|| "rustup".into()));
    command.args(["toolchain", "install", KERNEL_NIGHTLY, "--profile", "minimal", "--component", "rust-src"]);
    // Without it rustup replaces itself too, by whatever version its server offers.
    command.arg("--no-self-update");
    Step::new(format!("rustup {KERNEL_NIGHTLY} with rust-src"), command, LIMIT).run(project).map(drop)
}

fn bpf_linker(project: &Project) -> anyhow::Result<()> {
    linker::install(project, &compiler::find()?)
}
