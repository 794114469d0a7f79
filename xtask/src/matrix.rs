//! `matrix`: nodes on other kernels and network drivers. Kernels come from the distribution's packages; guests, cases and
//! table are the emulator's.

mod kernels;
mod packages;

use std::{os::unix::process::CommandExt, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build::{self, BuildArgs, Profile},
    project::{Project, find_program},
    root,
    setup::{self, Part},
    step::{command_line, say},
};

/// The suite that needs the same.
pub(crate) const SUITE: &str = "tests/matrix";
/// What that suite boots.
const SUITE_KERNEL: &str = "6.12";
const DEFAULT_KERNELS: [&str; 2] = ["6.1", SUITE_KERNEL];
const QEMU: &str = "qemu-system-x86_64";
const PARTS: [Part; 3] = [Part::Kernel, Part::Proxy, Part::Tests];

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct MatrixArgs {
    /// A kernel by its version or release; may be given several times [default: 6.1 and 6.12]
    #[arg(long = "kernel", value_name = "VERSION")]
    kernels: Vec<String>,
    /// Interface of the nodes; may be given several times [default: all that QEMU has]
    #[arg(long = "nic", value_name = "NAME")]
    nics: Vec<String>,
    /// Interface of the second node [default: as that of the first]
    #[arg(long, value_name = "NAME")]
    peer_nic: Option<String>,
    /// What to try; may be given several times [default: all]
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Where XDP runs: native or generic [default: native, else generic]
    #[arg(long, value_name = "PLACE")]
    xdp: Option<String>,
    /// Another QEMU than the installed one
    #[arg(long, value_name = "FILE")]
    qemu: Option<String>,
    /// Results as JSON, one cell a line
    #[arg(long)]
    json: bool,
    /// Only say which kernels, interfaces and cases there are
    #[arg(long)]
    list: bool,
    /// Only fetch the kernels
    #[arg(long)]
    fetch: bool,
    /// Only report what the machine lacks; fail if something is missing
    #[arg(long)]
    no_install: bool,
}

/// Replaces this process by the emulator's `matrix`; returns early only with --fetch, or if something fails.
pub(crate) fn run(project: &Project, args: &MatrixArgs) -> Result<()> {
    let mut more = args.passed_on();
    if args.list {
        kernels::list(project)?;
        more.push("--list".to_owned());
    } else {
        let wanted: Vec<&str> = args.kernels.iter().map(String::as_str).collect();
        for kernel in if wanted.is_empty() { &DEFAULT_KERNELS[..] } else { &wanted } {
            more.extend(["--kernel".to_owned(), kernels::fetch(project, kernel)?]);
        }
    }
    if args.fetch {
        return Ok(());
    }
    setup::ensure(project, &PARTS, args.no_install)?;
    build::run(project, BuildArgs::of(Profile::Dev).lean())?;
    let folders = [("--folder", kernels::folder(project)), ("--directory", project.target().join("matrix/logs"))];
    let program = build::federation(project, Profile::Dev);
    let mut emulator = root::command(&program, &[], "the guests' network")?;
    emulator.arg("matrix").args(more);
    for (name, folder) in folders {
        emulator.arg(name).arg(folder);
    }
    say(&command_line(&emulator));
    Err(emulator.exec()).with_context(|| format!("cannot start {}", program.display()))
}

impl MatrixArgs {
    fn passed_on(&self) -> Vec<String> {
        let options = [("--nic", &self.nics), ("--case", &self.cases)];
        let options = options.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let single = [("--peer-nic", &self.peer_nic), ("--xdp", &self.xdp), ("--qemu", &self.qemu)];
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let words = options.chain(single).flat_map(|(name, value)| [name.to_owned(), value.clone()]);
        words.chain(self.json.then(|| "--json".to_owned())).collect()
    }
}

/// Everything that the suite needs beyond its program; an error says what this machine lacks.
pub(crate) fn prepare_suite(project: &Project) -> Result<()> {
    let programs: [(&str, &str); 2] = [(QEMU, "qemu-system-x86"), ("busybox", "busybox-static")];
    for (program, package) in programs {
        let found: Option<PathBuf> = find_program(&[program]);
        found.with_context(|| format!("no {program} on this machine (Debian: {package})"))?;
    }
    kernels::fetch(project, SUITE_KERNEL).map(drop)
}
