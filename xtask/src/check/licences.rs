//! Licences of everything the project is built from, against the list in `xtask/licences.txt`.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context, Result, bail};

use super::spdx;
use crate::{project::Project, step::Step};

const LIST: &str = "xtask/licences.txt";

pub(super) fn check(project: &Project) -> Result<()> {
    let list = fs::read_to_string(project.root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let allowed = parse_list(&list);
    let packages = packages_in(&tree(project)?);
    if packages.is_empty() {
        bail!("cargo tree names no package: has its form changed?");
    }
    let offenders: Vec<String> = packages.iter().filter_map(|package| offence(package, &allowed)).collect();
    if !offenders.is_empty() {
        bail!("licences outside {LIST}:\n  {}", offenders.join("\n  "));
    }
    println!("    {} packages, {} allowed licences", packages.len(), allowed.len());
    Ok(())
}

/// `cargo tree`, because the graph of `cargo metadata` also holds packages that no feature turns on.
/// `--locked` also proves that the lock file is up to date.
fn tree(project: &Project) -> Result<String> {
    let mut cargo = project.cargo();
    cargo.args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"]);
    cargo.args(["--format", "{p}|{l}"]);
    let log = Step::new("licences (cargo tree)", cargo, Duration::from_mins(5)).run(project)?;
    fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// Empty if it names none.
    licence: String,
}

/// Lines like `ring v0.17.14 (proc-macro)|MIT OR ISC (*)`; cargo's messages have no `|` behind a version.
fn packages_in(tree: &str) -> BTreeSet<Package> {
    let parse = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let (name, rest) = package.split_once(" v")?;
        let version = rest.split(' ').next()?.to_owned();
        let licence = licence.trim_end().trim_end_matches("(*)").trim_end().to_owned();
        Some(Package { name: name.to_owned(), version, licence })
    };
    tree.lines().filter_map(parse).collect()
}

/// One licence per line, `#` begins a comment; a line `crate: licence` allows it for that crate alone.
fn parse_list(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn offence(package: &Package, allowed: &[String]) -> Option<String> {
    let Package { name, version, licence } = package;
    if licence.is_empty() {
        return Some(format!("{name} {version}: names no licence"));
    }
    let is_allowed = |licence: &str| {
        let for_this_crate = format!("{name}: {licence}");
        allowed.iter().any(|one| one == licence || *one == for_this_crate)
    };
    match spdx::is_met(licence, &is_allowed) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} {version}: {licence}")),
        Err(error) => Some(format!("{name} {version}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, licence: &str) -> Package {
        Package { name: name.to_owned(), version: "1.0.0".to_owned(), licence: licence.to_owned() }
    }

    #[test]
    fn offenders_are_named_with_version_and_licence() {
        let allowed = parse_list("# ours\nMIT\nring-like: OpenSSL # its C code\n\n");
        assert_eq!(allowed.len(), 2);
        assert_eq!(offence(&package("a", "MIT OR GPL-3.0"), &allowed), None);
        assert_eq!(offence(&package("a", "GPL-3.0"), &allowed).unwrap(), "a 1.0.0: GPL-3.0");
        assert!(offence(&package("a", ""), &allowed).unwrap().contains("names no licence"));
        assert!(offence(&package("a", "MIT AND"), &allowed).is_some());
    }

    #[test]
    fn an_exception_for_one_crate_is_for_no_other() {
        let allowed = parse_list("MIT\nring-like: OpenSSL");
        assert_eq!(offence(&package("ring-like", "MIT AND OpenSSL"), &allowed), None);
        assert!(offence(&package("other", "MIT AND OpenSSL"), &allowed).is_some());
    }

    #[test]
    fn packages_are_read_from_the_tree_once_each() {
        let tree = "    Blocking waiting for file lock\nown v0.1.0 (/some/where)|Apache-2.0 OR MIT\n\
                    serde v1.0.2|MIT OR Apache-2.0\nserde v1.0.2|MIT OR Apache-2.0 (*)\nmac v2.0.0 (proc-macro)|\n";
        let packages: Vec<Package> = packages_in(tree).into_iter().collect();
        let named = |name: &str, version: &str, licence: &str| Package {
            version: version.to_owned(),
            ..package(name, licence)
        };
        let expected = [
            named("mac", "2.0.0", ""),
            named("own", "0.1.0", "Apache-2.0 OR MIT"),
            named("serde", "1.0.2", "MIT OR Apache-2.0"),
        ];
        assert_eq!(packages, expected);
    }
}
