//! Debian's packages: which are known, and their installation in one call.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    project::{Project, find_program},
    root,
    step::{Step, text_of},
};

const LIMIT: Duration = Duration::from_mins(20);

/// Sets of packages that serve the same need, best first.
pub(crate) type Alternatives = &'static [&'static [&'static str]];

pub(super) fn is_debian() -> bool {
    find_program(&["apt-get"]).is_some()
}

/// True on a fresh image, where the mirrors were never asked for what they have.
pub(super) fn lacks_lists() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten().flatten();
    is_debian()
        && !lists.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| name.contains("_Packages"))
}

/// The version that apt would install.
pub(super) fn candidate(package: &str) -> Option<String> {
    let mut command = Command::new(find_program(&["apt-cache"])?);
    command.args(["policy", package]).env("LC_ALL", "C");
    parse_candidate(&text_of(command)?)
}

fn parse_candidate(policy: &str) -> Option<String> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?.trim();
    (version != "(none)").then(|| version.to_owned())
}

/// Installs one set of each need; fetches the package lists only when needed and not `updated` already.
pub(crate) fn install(project: &Project, needs: &[Alternatives], mut updated: bool) -> Result<()> {
    if !is_debian() {
        bail!("no apt-get on this machine; install by hand (Debian's names): {}", first_choices(needs).join(" "));
    }
    if !updated && choose(needs, |package| candidate(package).is_some()).is_err() {
        update(project)?;
        updated = true;
    }
    let packages = choose(needs, |package| candidate(package).is_some())?;
    println!("    installing: {}", packages.join(" "));
    let first = install_step(&packages)?.run(project);
    if first.is_err() && !updated {
        println!("    the package lists may be stale: fetching them and trying once more");
        update(project)?;
        return install_step(&packages)?.run(project).map(drop);
    }
    first.map(drop)
}

fn first_choices(needs: &[Alternatives]) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        needs.iter().filter_map(|sets| sets.first()).flat_map(|set| set.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn choose(needs: &[Alternatives], is_known: impl Fn(&str) -> bool) -> Result<Vec<&'static str>> {
    let mut packages = Vec::new();
    for sets in needs {
        let known = sets.iter().find(|set| set.iter().all(|package| is_known(package)));
        let known = known.with_context(|| format!("this distribution has none of the packages {sets:?}"))?;
        packages.extend_from_slice(known);
    }
    packages.sort_unstable();
    packages.dedup();
    Ok(packages)
}

pub(super) fn update(project: &Project) -> Result<()> {
    let mut command = command()?;
    command.arg("update");
    Step::new("apt-get update", command, LIMIT).run(project).map(drop)
}

fn install_step(packages: &[&str]) -> Result<Step> {
    let mut command = command()?;
    command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    Ok(Step::new("apt-get install", command, LIMIT))
}

fn command() -> Result<Command> {
    let environment = [("DEBIAN_FRONTEND", "noninteractive".to_owned()), ("LC_ALL", "C".to_owned())];
    let mut command = root::command(Path::new("apt-get"), &environment, "installing packages")?;
    command.args(["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::http::Timeout=60", "-o", "Acquire::Retries=2"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BPFTOOL: Alternatives = &[&["bpftool"], &["linux-tools-common", "linux-tools-generic"]];

    #[test]
    fn the_candidate_is_read_and_none_is_none() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(parse_candidate(policy).unwrap(), "1.96.0+dfsg1-1~deb12u2");
        assert_eq!(parse_candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(parse_candidate(""), None);
    }

    #[test]
    fn the_first_wholly_known_set_is_chosen_and_named_once() {
        let needs = [BPFTOOL, &[&["curl"]], &[&["curl"]]];
        assert_eq!(choose(&needs, |_| true).unwrap(), ["bpftool", "curl"]);
        let ubuntu = choose(&needs, |package| package != "bpftool").unwrap();
        assert_eq!(ubuntu, ["curl", "linux-tools-common", "linux-tools-generic"]);
    }

    #[test]
    fn a_need_without_any_known_package_is_named() {
        let error = choose(&[BPFTOOL], |package| package == "linux-tools-common").unwrap_err();
        assert!(error.to_string().contains("linux-tools-generic"), "{error}");
    }
}
