//! The build of everything: kernel programs first, then the agent and the federation emulator.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{build_ebpf, project::Project, step::Step};

const LIMIT: Duration = Duration::from_mins(45);
/// Edge nodes are small, and fetch what they run over thin lines.
const MAX_AGENT_BYTES: u64 = 30_000_000;

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
    /// Without load player and simulators: what a federation needs, and the quickest to build
    #[arg(long)]
    lean: bool,
    /// Kernel programs that log single packets (feature `log`); slow, for debugging only
    #[arg(long)]
    log: bool,
}

/// Cargo's profile of agent and emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build: for trying and testing.
    Dev,
    /// What a node runs, and what is measured.
    Release,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// Of its files, in the target folder.
    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

impl BuildArgs {
    pub(crate) fn of(profile: Profile) -> Self {
        Self { dev: profile == Profile::Dev, ..Self::default() }
    }

    pub(crate) fn lean(self) -> Self {
        Self { lean: true, ..self }
    }

    fn profile(self) -> Profile {
        if self.dev { Profile::Dev } else { Profile::Release }
    }
}

pub(crate) fn run(project: &Project, args: BuildArgs) -> Result<()> {
    build_ebpf::build(project, args.log)?;
    if args.kernel_only {
        return Ok(());
    }
    let profile = args.profile().name();
    let mut cargo = project.cargo();
    cargo.args(["build", "--profile", profile, "--package", "dfaas-program", "--package", "dfaas-tests", "--bins"]);
    if args.lean {
        cargo.arg("--no-default-features");
    }
    Step::new(format!("agent and federation ({profile})"), cargo, LIMIT).compiling().run(project)?;
    weigh(project, args.profile())
}

/// Says how large the agent is. An optimised one that has become too large for edge nodes is an error.
fn weigh(project: &Project, profile: Profile) -> Result<()> {
    let agent = project.target().join(profile.folder()).join("dfaas-agent");
    let bytes = fs::metadata(&agent).with_context(|| format!("cannot look at {}", agent.display()))?.len();
    println!("    {}: {:.1} MB", project.relative(&agent).display(), bytes as f64 / 1e6);
    if profile == Profile::Release && bytes > MAX_AGENT_BYTES {
        bail!("the agent has {bytes} bytes, expected at most {MAX_AGENT_BYTES}");
    }
    Ok(())
}

/// The emulator that `run` and `bench` start.
pub(crate) fn federation(project: &Project, profile: Profile) -> PathBuf {
    project.target().join(profile.folder()).join("federation")
}
