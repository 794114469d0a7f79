//! A machine that nobody prepared: a minimal Debian with Rust and a C linker, in it the commands of the README.
//!
//! It has package lists of months ago or none, no bpffs, no locale, a umask of 077, a PATH without the system folders, a
//! checkout at a path with blanks, and no network but a way to the package mirror. What cargo has compiled is laid under
//! the checkout, so that nothing is compiled twice.

mod leftovers;
mod mirror;
mod readme;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{
    debian_root::{self, Flavour},
    project::{Project, cargo_home},
    root,
    step::{Step, say},
};
use mirror::Mirror;

const LIMIT: Duration = Duration::from_mins(25);
const SCRIPT: &str = include_str!("clean_room/enter.sh");
/// Where the checkout is in the room.
const PLACE: &str = "/srv/a path with blanks/dfaas";

/// Of each suite the test that is run in the room: a quick one that needs what the suite needs.
const TESTS: [(&str, &str); 7] = [
    ("bench", "a_benchmark_alone_has_its_figures"),
    ("federation", "three_nodes_answer_and_share_a_load_as_they_agreed"),
    ("overlay", "agents_that_cannot_wait_for_each_other_say_how_far_they_got"),
    ("packets", "observation_counts_and_passes"),
    ("programs", "no_program_is_larger_than_it_is_meant_to_be"),
    ("steering", "connections_are_steered_native"),
    ("traffic", "pipelined_calls_are_answered_in_order"),
];

#[derive(Args, Debug)]
pub(crate) struct CleanRoomArgs {
    /// Debian's code name: bookworm, trixie
    suite: String,
    /// Another checkout than this one
    #[arg(long)]
    checkout: Option<PathBuf>,
}

/// The suites of Debian that are tried; the second has HAProxy 3.0.
pub(super) fn suites(long: bool) -> &'static [&'static str] {
    if long { &["bookworm", "trixie"] } else { &["bookworm"] }
}

/// One room, in a process of its own that is root.
pub(super) fn run(project: &Project, suite: &str) -> Result<()> {
    let kept = ["HOME", "PATH", "CARGO_HOME", "RUSTUP_HOME", "CARGO", "CARGO_MANIFEST_DIR"];
    let environment: Vec<_> = kept.into_iter().filter_map(|name| Some((name, env::var(name).ok()?))).collect();
    let program = env::current_exe().context("cannot find this program")?;
    let mut command = root::command(&program, &environment, "making a clean room")?;
    command.args(["clean-room", suite]).current_dir(&project.root);
    Step::new(format!("clean room ({suite})"), command, LIMIT).echo().run(project).map(drop)
}

/// The hidden command `cargo xtask clean-room`.
pub(crate) fn enter(project: &Project, args: &CleanRoomArgs) -> Result<()> {
    let base = debian_root::make(project, &args.suite, Flavour::Fresh)?;
    let checkout = args.checkout.clone().unwrap_or_else(|| project.root.clone());
    let readme = std::fs::read_to_string(checkout.join("README.md")).context("cannot read README.md")?;
    let [first, second] = readme::first_commands(&readme)?;
    leftovers::remove()?;
    let name = leftovers::name();
    let prefix = format!("{name}-");
    let scratch =
        tempfile::Builder::new().prefix(&prefix).tempdir_in(leftovers::SCRATCH).context("no scratch folder")?;
    let mirror = Mirror::start(name)?;
    let mut room = Command::new("ip");
    room.args(["netns", "exec", mirror.namespace(), "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
    room.args(["--uts", "--ipc", "--", "sh", "-c", SCRIPT, "sh"]);
    room.arg(format!("{first} --scenario cloudnet --once --duration 10"));
    let tests: Vec<&str> = TESTS.iter().map(|(_, test)| *test).collect();
    room.arg(format!("{second} {}", tests.join(" ")));
    room.env("SCRATCH", scratch.path()).env("BASE", base).env("PLACE", PLACE).env("PROXY", mirror::PROXY);
    room.env("ARCHIVES", debian_root::archives(project, &args.suite)?);
    // Only one of both states can be tried in a room.
    room.env("LISTS", if args.suite == "bookworm" { "stale" } else { "none" });
    let [cargo, rustup] = rust_homes()?;
    room.env("CARGO_HOME", cargo).env("RUSTUP_HOME", rustup);
    let target = if args.checkout.is_some() { checkout.join("target") } else { project.target() };
    room.env("TARGET", target).env("CHECKOUT", checkout);
    let status = room.stdin(std::process::Stdio::null()).status().context("cannot start ip netns exec")?;
    ensure!(status.success(), "a command failed in the clean room ({}): {status}", args.suite);
    say(&format!("clean room ({}): both commands of the README work", args.suite));
    Ok(())
}

/// Where rustup keeps cargo and the compilers; a room has no other.
fn rust_homes() -> Result<[PathBuf; 2]> {
    let cargo = cargo_home().context("no home folder: name cargo's in CARGO_HOME")?;
    let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".rustup")));
    let rustup = rustup.context("no home folder: name rustup's in RUSTUP_HOME")?;
    for (folder, file) in [(&cargo, "bin/cargo"), (&rustup, "toolchains")] {
        if !folder.join(file).exists() {
            bail!("no {}: the clean room needs a Rust that rustup installed", Path::new(folder).join(file).display());
        }
    }
    Ok([cargo, rustup])
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_suite_that_any_machine_can_run_has_its_test_in_the_room() {
        let folder = Project::find().unwrap().root.join("tests/tests");
        let mut suites = BTreeSet::new();
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.join("main.rs").is_file() || path.extension().is_some_and(|extension| extension == "rs") {
                suites.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
            }
        }
        // Debian 12 has no Node.js that would do; machines in a room take more time than it has, and so do attackers, who need nothing
        // that `federation` does not.
        for other in ["hostile", "hosts", "interop", "matrix"] {
            assert!(suites.remove(other), "no suite {other}");
        }
        assert_eq!(suites, TESTS.iter().map(|(suite, _)| (*suite).to_owned()).collect());
        for (suite, test) in TESTS {
            let has = |file: &Path| fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {test}(")));
            let inside = fs::read_dir(folder.join(suite)).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut files = inside.chain([folder.join(format!("{suite}.rs"))]);
            assert!(files.any(|file| has(&file)), "no test {test} in tests/tests/{suite}");
        }
    }
}
