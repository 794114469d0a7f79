//! Commands that need root: as they are if we are root, else through sudo.

use std::{env, io::IsTerminal, os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::project::find_program;

/// `program` as root. `environment` is passed by hand, because sudo clears it.
pub(crate) fn command(program: &Path, environment: &[(&str, String)], why: &str) -> Result<Command> {
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new(program);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        return Ok(command);
    }
    let Some(sudo) = find_program(&["sudo"]) else {
        bail!("{why} needs root, and there is no sudo: run this command as root")
    };
    println!("    {why} needs root: using sudo");
    let mut command = Command::new(sudo);
    if !std::io::stdin().is_terminal() {
        command.arg("--non-interactive");
    }
    command.arg("env").args(environment.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program);
    Ok(command)
}

/// This very command once more, as root, in place of this process; returns only if that fails.
pub(crate) fn again(why: &str) -> Result<()> {
    let program = env::current_exe().context("cannot find this program")?;
    let kept = ["PATH", "HOME", "TERM", "CI", "CARGO", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"];
    let environment: Vec<_> = kept.into_iter().filter_map(|name| Some((name, env::var(name).ok()?))).collect();
    let error = command(&program, &environment, why)?.args(env::args_os().skip(1)).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
