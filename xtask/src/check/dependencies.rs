//! Crates that must not come in, and those that may be there in two versions, by `xtask/dependencies.txt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail};

use super::packages::{self, Package};
use crate::project::Project;

const LIST: &str = "xtask/dependencies.txt";

pub(super) fn check(project: &Project) -> Result<()> {
    let text = fs::read_to_string(project.root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let rules = Rules::parse(&text)?;
    let packages = packages::all(project)?;
    let offences = rules.offences(&packages);
    if !offences.is_empty() {
        bail!("dependencies against {LIST}:\n  {}", offences.join("\n  "));
    }
    println!("    {} packages, {} of them in several versions", packages.len(), rules.several.len());
    Ok(())
}

#[derive(Debug, Default)]
struct Rules<'a> {
    banned: BTreeSet<&'a str>,
    several: BTreeSet<&'a str>,
}

impl<'a> Rules<'a> {
    /// Lines `ban CRATE` and `several CRATE`; the reason stands behind a `#`.
    fn parse(text: &'a str) -> Result<Self> {
        let mut rules = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.split_once(' ') {
                Some(("ban", name)) => rules.banned.insert(name.trim()),
                Some(("several", name)) => rules.several.insert(name.trim()),
                _ if line.is_empty() => continue,
                _ => bail!("{LIST}, line {number}: expected `ban CRATE` or `several CRATE`, found {line:?}"),
            };
        }
        Ok(rules)
    }

    fn offences(&self, packages: &BTreeSet<Package>) -> Vec<String> {
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in packages {
            versions.entry(&package.name).or_default().insert(&package.version);
        }
        let banned = versions.keys().filter(|name| self.banned.contains(*name));
        let mut offences: Vec<String> =
            banned.map(|name| format!("{name} is banned: `cargo tree --invert {name}` says who asks for it")).collect();
        for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
            if !self.several.contains(name) {
                let versions: Vec<&str> = versions.iter().copied().collect();
                offences.push(format!("{name} is there in several versions: {}", versions.join(", ")));
            }
        }
        // An exception that nothing needs any more would let the next one in.
        let single = self.several.iter().filter(|name| versions.get(*name).is_none_or(|versions| versions.len() < 2));
        offences.extend(single.map(|name| format!("{name} is there once: its line can go")));
        offences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(list: &[(&str, &str)]) -> BTreeSet<Package> {
        let package = |(name, version): &(&str, &str)| Package {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            licence: String::new(),
        };
        list.iter().map(package).collect()
    }

    #[test]
    fn banned_and_doubled_crates_are_named_and_so_are_rules_without_use() {
        let rules = Rules::parse("# why\nban evil # it is\nseveral old # two of them\nseveral gone\n").unwrap();
        let there =
            packages(&[("evil", "1.0.0"), ("old", "1.0.0"), ("old", "2.0.0"), ("new", "1.0.0"), ("new", "2.0.0")]);
        let offences = rules.offences(&there);
        assert_eq!(offences.len(), 3, "{offences:?}");
        assert!(offences[0].starts_with("evil is banned"));
        assert_eq!(offences[1], "new is there in several versions: 1.0.0, 2.0.0");
        assert_eq!(offences[2], "gone is there once: its line can go");
    }

    #[test]
    fn a_line_that_is_no_rule_is_named() {
        let error = Rules::parse("ban a\nallow b").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("allow b"), "{error}");
    }
}
