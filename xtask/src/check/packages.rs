//! Everything the project is built from on this kind of machine.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{project::Project, step::Step};

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// Empty if it names none.
    pub(super) licence: String,
}

/// By `cargo tree`, because the graph of `cargo metadata` also holds packages that no feature turns on.
/// `--locked` also proves that the lock file is up to date.
pub(super) fn all(project: &Project) -> Result<BTreeSet<Package>> {
    let mut cargo = project.cargo();
    cargo.args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"]);
    cargo.args(["--format", "{p}|{l}"]);
    let log = Step::new("packages (cargo tree)", cargo, Duration::from_mins(5)).run(project)?;
    let text = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let packages = packages_in(&text);
    if packages.is_empty() {
        bail!("cargo tree names no package: has its form changed?");
    }
    Ok(packages)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_the_tree_once_each() {
        let tree = "    Blocking waiting for file lock\nown v0.1.0 (/some/where)|Apache-2.0 OR MIT\n\
                    serde v1.0.2|MIT OR Apache-2.0\nserde v1.0.2|MIT OR Apache-2.0 (*)\nmac v2.0.0 (proc-macro)|\n";
        let packages: Vec<Package> = packages_in(tree).into_iter().collect();
        let named = |name: &str, version: &str, licence: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        };
        let expected = [
            named("mac", "2.0.0", ""),
            named("own", "0.1.0", "Apache-2.0 OR MIT"),
            named("serde", "1.0.2", "MIT OR Apache-2.0"),
        ];
        assert_eq!(packages, expected);
    }
}
