//! Debian's packages: which are known, and what is done to them. Every call has a time limit and asks nothing.

use std::{collections::BTreeMap, fs, path::Path, process::Command, thread, time::Duration};

use anyhow::Result;

use super::plan::Failure;
use crate::{
    project::{Project, find_program},
    root,
    step::{Step, text_of},
};

const LIMIT: Duration = Duration::from_mins(20);
/// Somebody else's installation is waited for this long.
const LOCK_SECONDS: u32 = 120;
/// apt waits for dpkg's lock by itself, but not for that of the lists.
const LOCK_POLL: Duration = Duration::from_secs(5);

pub(super) fn is_there() -> bool {
    find_program(&["apt-get"]).is_some()
}

/// False on a fresh image, where the mirrors were never asked for what they have.
pub(super) fn has_lists() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    lists.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.contains("_Packages"))
}

/// True if an installation was interrupted.
pub(super) fn is_half_installed() -> bool {
    let Some(dpkg) = find_program(&["dpkg"]) else { return false };
    let mut command = Command::new(dpkg);
    command.arg("--audit").env("LC_ALL", "C");
    let updates = fs::read_dir("/var/lib/dpkg/updates").into_iter().flatten().flatten();
    let journal = updates.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_number(&name));
    journal || text_of(command).is_some_and(|text| !text.trim().is_empty())
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

/// The version of each package that apt would install now; those it does not know are not in it.
pub(crate) fn candidates(packages: &[&str]) -> BTreeMap<String, String> {
    let Some(program) = find_program(&["apt-cache"]) else { return BTreeMap::new() };
    let mut command = Command::new(program);
    command.arg("policy").args(packages).env("LC_ALL", "C");
    parse_policy(&text_of(command).unwrap_or_default())
}

fn parse_policy(policy: &str) -> BTreeMap<String, String> {
    let mut candidates = BTreeMap::new();
    let mut package = "";
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            package = name;
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ").filter(|version| *version != "(none)") {
            candidates.insert(package.to_owned(), version.to_owned());
        }
    }
    candidates
}

pub(super) fn repair(project: &Project) -> Result<(), Failure> {
    // First dpkg itself: apt refuses to work beside its journal.
    let configure = || {
        let mut command = root::command(Path::new("dpkg"), &environment(), "finishing an interrupted installation")?;
        command.args(["--force-confdef", "--force-confold", "--configure", "--pending"]);
        Ok(Step::new("dpkg --configure --pending", command, LIMIT))
    };
    let _ = run(project, configure);
    run(project, || apt("apt-get --fix-broken install", &["--fix-broken", "install", "--yes"]))
}

pub(super) fn fetch_lists(project: &Project) -> Result<(), Failure> {
    run(project, || apt("apt-get update", &["update"]))
}

pub(super) fn install(project: &Project, packages: &[&str]) -> Result<(), Failure> {
    println!("    installing: {}", packages.join(" "));
    let args: Vec<&str> = ["install", "--yes", "--no-install-recommends"].iter().chain(packages).copied().collect();
    run(project, || apt("apt-get install", &args))
}

fn apt(name: &str, args: &[&str]) -> Result<Step> {
    let mut command = root::command(Path::new("apt-get"), &environment(), "installing packages")?;
    command.args(["-o", &format!("DPkg::Lock::Timeout={LOCK_SECONDS}")]);
    command.args(["-o", "Acquire::http::Timeout=60", "-o", "Acquire::Retries=2"]);
    command.args(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]).args(args);
    Ok(Step::new(name, command, LIMIT))
}

fn environment() -> [(&'static str, String); 3] {
    // Packages' scripts want the system folders, whatever PATH the caller has.
    let path = crate::project::with_system_folders(&std::env::var("PATH").unwrap_or_default());
    [("DEBIAN_FRONTEND", "noninteractive".to_owned()), ("LC_ALL", "C".to_owned()), ("PATH", path)]
}

/// Runs the step; again while another one holds the lock of the package lists.
fn run(project: &Project, step: impl Fn() -> Result<Step>) -> Result<(), Failure> {
    let other = |error: anyhow::Error| Failure::Other(format!("{error:#}"));
    let mut waited = Duration::ZERO;
    loop {
        let mut step = step().map_err(other)?;
        let ended = step.run_to_end(project).map_err(other)?;
        let Some(failure) = ended.failure(step.limit()) else { return Ok(()) };
        let text = fs::read(&ended.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let log = project.relative(&ended.log).display().to_string();
        match reason(&text, &failure, &log) {
            Failure::Locked(_) if is_lists_lock(&text) && waited.as_secs() < u64::from(LOCK_SECONDS) => {
                thread::sleep(LOCK_POLL);
                waited += LOCK_POLL;
            }
            failure => return Err(failure),
        }
    }
}

fn is_lists_lock(log: &str) -> bool {
    log.contains("Could not get lock /var/lib/apt/lists")
}

/// In one line, from the complaints in what apt or dpkg printed.
fn reason(log: &str, failure: &str, file: &str) -> Failure {
    let complaint = |line: &str| {
        let text = line.strip_prefix("E: ").or_else(|| line.strip_prefix("dpkg: error: "))?;
        Some(text.trim().to_owned())
    };
    let complaints: Vec<String> = log.lines().filter_map(complaint).collect();
    // The first names the cause; later ones say what did not work because of it.
    let first = complaints.first().map_or_else(|| failure.to_owned(), Clone::clone);
    let text = format!("{first} (log: {file})");
    if first.contains("Could not get lock") || first.contains("is locked by another process") {
        return Failure::Locked(text);
    }
    Failure::Other(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_for_many_packages_at_once_and_none_is_none() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n     \
                      1.96.0+dfsg1-1~deb12u2 500\nx:\n  Installed: (none)\n  Candidate: (none)\ncurl:\n  Candidate: 7\n";
        let candidates = parse_policy(policy);
        assert_eq!(candidates["rustc-web"], "1.96.0+dfsg1-1~deb12u2");
        assert_eq!(candidates["curl"], "7");
        assert!(!candidates.contains_key("x") && parse_policy("").is_empty());
    }

    #[test]
    fn the_first_complaint_is_the_reason_and_a_lock_is_known() {
        let log =
            "Err:1 http://m.example x\nE: Failed to fetch http://m.example/x  404  Not Found\nE: Unable to fetch\n";
        let Failure::Other(text) = reason(log, "exit status: 100", "a.log") else { panic!("locked") };
        assert_eq!(text, "Failed to fetch http://m.example/x  404  Not Found (log: a.log)");
        let log = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)\n";
        assert!(matches!(reason(log, "x", "a.log"), Failure::Locked(text) if text.contains("process 7")));
        let log = "dpkg: error: dpkg frontend lock was locked by another process with pid 7\n";
        assert!(matches!(reason(log, "x", "a.log"), Failure::Other(_) | Failure::Locked(_)));
        assert_eq!(reason("", "exit status: 1", "a"), Failure::Other("exit status: 1 (log: a)".to_owned()));
    }
}
