//! Licences of everything the project is built from, against the list in `xtask/licences.txt`.

use std::fs;

use anyhow::{Context, Result, bail};
use spdx::{Expression, ParseMode};

use super::packages::{self, Package};
use crate::project::Project;

const LIST: &str = "xtask/licences.txt";

pub(super) fn check(project: &Project) -> Result<()> {
    let list = fs::read_to_string(project.root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let allowed = parse_list(&list);
    let packages = packages::all(project)?;
    let offenders: Vec<String> = packages.iter().filter_map(|package| offence(package, &allowed)).collect();
    if !offenders.is_empty() {
        bail!("licences outside {LIST}:\n  {}", offenders.join("\n  "));
    }
    println!("    {} packages, {} allowed licences", packages.len(), allowed.len());
    Ok(())
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
    // Old crates write `A/B` for a choice.
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) if expression.evaluate(|one| is_allowed(&one.to_string())) => None,
        Ok(_) => Some(format!("{name} {version}: {licence}")),
        Err(error) => Some(format!("{name} {version}: {licence}: {}", error.reason)),
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
        assert_eq!(offence(&package("a", "MIT OR GPL-3.0-only"), &allowed), None);
        assert_eq!(offence(&package("a", "GPL-3.0-only/MIT"), &allowed), None);
        assert_eq!(offence(&package("a", "GPL-3.0-only"), &allowed).unwrap(), "a 1.0.0: GPL-3.0-only");
        assert!(offence(&package("a", ""), &allowed).unwrap().contains("names no licence"));
        assert!(offence(&package("a", "MIT AND"), &allowed).is_some());
    }

    #[test]
    fn all_parts_of_a_licence_are_needed_and_an_exception_belongs_to_its_own() {
        let allowed = parse_list("MIT\nISC\nApache-2.0 WITH LLVM-exception");
        for good in ["MIT AND ISC", "ISC AND (GPL-3.0-only OR MIT)", "Apache-2.0 WITH LLVM-exception"] {
            assert_eq!(offence(&package("a", good), &allowed), None, "{good}");
        }
        for bad in ["MIT AND GPL-3.0-only", "Apache-2.0", "GPL-3.0-only AND MIT OR GPL-2.0-only"] {
            assert!(offence(&package("a", bad), &allowed).is_some(), "{bad}");
        }
    }

    #[test]
    fn an_exception_for_one_crate_is_for_no_other() {
        let allowed = parse_list("MIT\nring-like: OpenSSL");
        assert_eq!(offence(&package("ring-like", "MIT AND OpenSSL"), &allowed), None);
        assert!(offence(&package("other", "MIT AND OpenSSL"), &allowed).is_some());
    }
}
