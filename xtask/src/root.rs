//! Commands that need root: as they are if we are root, else through sudo.

use std::{io::IsTerminal, path::Path, process::Command};

use anyhow::{Result, bail};

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
