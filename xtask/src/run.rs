//! `run` and `bench`: everything the federation emulator needs, then the emulator in our place.

use std::{env, os::unix::process::CommandExt};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build::{self, BuildArgs, Profile},
    project::Project,
    root,
    setup::{self, Part},
    step::{command_line, say},
};

#[derive(Args, Debug)]
pub(crate) struct PassedArgs {
    /// Only report what the machine lacks; fail if something is missing
    #[arg(long)]
    pub(crate) no_install: bool,
    /// Passed on to the emulator as they are; `-- --help` shows its own options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CleanArgs {
    /// Also those that were left running on purpose
    #[arg(long)]
    kept: bool,
    /// Only these, as `cargo xtask run --keep` names them
    names: Vec<String>,
}

/// Replaces this process by the emulator's command; returns only if that fails.
pub(crate) fn clean(project: &Project, args: &CleanArgs) -> Result<()> {
    let built = [Profile::Dev, Profile::Release].map(|profile| build::federation(project, profile));
    let program = built.into_iter().find(|program| program.is_file());
    let program =
        program.context("no emulator in the target folder: it made no federation (`cargo xtask build --dev`)")?;
    let mut emulator = root::command(&program, &[], "removing network namespaces")?;
    emulator.arg("clean").args(args.kept.then_some("--kept")).args(&args.names);
    Err(emulator.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// Replaces this process by `federation COMMAND ARGS`; returns only if that fails.
pub(crate) fn federation(project: &Project, command: &str, passed: &PassedArgs) -> Result<()> {
    setup::ensure(project, &Part::OF_A_FEDERATION, passed.no_install)?;
    let profile = if command == "bench" { Profile::Release } else { Profile::Dev };
    build::run(project, BuildArgs::of(profile).lean())?;
    let environment: Vec<(&str, String)> =
        ["RUST_LOG", "RUST_BACKTRACE", "TERM", "COLORTERM", crate::test::DATA_VARIABLE]
            .into_iter()
            .filter_map(|name| Some((name, env::var(name).ok()?)))
            .collect();
    let program = build::federation(project, profile);
    let mut emulator = root::command(&program, &environment, "making network namespaces")?;
    emulator.arg(command).args(&passed.args);
    say(&command_line(&emulator));
    Err(emulator.exec()).with_context(|| format!("cannot start {}", program.display()))
}
