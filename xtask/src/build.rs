//! The build of everything: kernel programs first, then the agent and the federation emulator.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Args;

use crate::{build_ebpf, project::Project, step::Step};

const LIMIT: Duration = Duration::from_mins(45);

#[derive(Args, Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct BuildArgs {
    /// Build agent and emulator optimized, into target/release (the default; may be said for clarity)
    #[arg(long, conflicts_with = "dev")]
    release: bool,
    /// Build agent and emulator for debugging, into target/debug
    #[arg(long)]
    dev: bool,
    /// Only the kernel programs
    #[arg(long)]
    kernel_only: bool,
    /// Kernel programs that log single packets (feature `log`); slow, for debugging only
    #[arg(long)]
    log: bool,
}

pub(crate) fn run(project: &Project, args: BuildArgs) -> Result<()> {
    build_ebpf::build(project, args.log)?;
    if args.kernel_only {
        return Ok(());
    }
    let (name, profile) = if args.dev { ("dev", "dev") } else { ("release", "release") };
    let mut cargo = project.cargo();
    cargo.args(["build", "--profile", profile, "--package", "dfaas-agent", "--package", "dfaas-tests", "--bins"]);
    Step::new(format!("agent and federation ({name})"), cargo, LIMIT).run(project)?;
    Ok(())
}

/// The emulator that `run` and `bench` start.
pub(crate) fn federation(project: &Project) -> PathBuf {
    project.target().join("release/federation")
}
