//! The Debian root that hosts boot, made by `cargo xtask debian-root` and kept between runs.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// The programs without which no host boots, those that this machine lacks.
pub fn missing() -> Vec<&'static str> {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let exists = |program: &&str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    ["debootstrap", "unshare", "nsenter", "ip", "ethtool"].into_iter().filter(|program| !exists(program)).collect()
}

/// Folder of the root of a Debian release, made if it is not there: that takes about a minute.
pub fn debian_root(project: &Path, suite: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["xtask", "debian-root", suite, "--flavour", "systemd"]).current_dir(project);
    // What cargo says of a test does not hold for this command.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_PKG_NAME").stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo xtask debian-root")?;
    ensure!(output.status.success(), "cargo xtask debian-root {suite} ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let folder = PathBuf::from(text.lines().last().unwrap_or_default());
    ensure!(folder.join("usr/lib/systemd/systemd").exists(), "no systemd in {}", folder.display());
    Ok(folder)
}
