//! What federations left behind whose process has died, and those that were kept.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    lease::{Lease, START},
    node::{PIN_ROOT, RUN_ROOT},
};
use crate::netns::{Namespace, run};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Prefixes of what was removed.
    pub removed: Vec<String>,
    /// Those of federations that were left running, and have been left alone.
    pub kept: Vec<String>,
    /// Those whose process lives.
    pub in_use: Vec<String>,
}

/// Of those that no living process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Whose process has died.
    Dead,
    /// Also those that were left running on purpose.
    DeadAndKept,
    /// These, dead or kept.
    Named(Vec<String>),
}

impl Which {
    fn concerns(&self, prefix: &str) -> bool {
        if let Self::Named(names) = self { names.iter().any(|name| name == prefix) } else { true }
    }
}

/// Removes what federations left.
pub fn remove_leftovers(which: &Which) -> Result<Removed> {
    let mut found = Removed::default();
    for prefix in prefixes().into_iter().filter(|prefix| which.concerns(prefix)) {
        let Some(mut lease) = Lease::lock(&prefix)? else {
            found.in_use.push(prefix);
            continue;
        };
        if lease.is_kept() && *which == Which::Dead {
            found.kept.push(prefix);
            continue;
        }
        remove(&mut lease).with_context(|| format!("cannot remove the remains of {prefix}"))?;
        lease.give_back();
        found.removed.push(prefix);
    }
    Ok(found)
}

/// Prefixes of everything on this machine that looks like a federation's.
fn prefixes() -> BTreeSet<String> {
    let directories = ["/run/netns", PIN_ROOT, "/sys/fs/bpf", RUN_ROOT];
    let names = directories.iter().flat_map(|directory| names_in(Path::new(directory)));
    let mut prefixes: BTreeSet<String> = names.filter_map(|name| prefix_of(&name).map(str::to_owned)).collect();
    prefixes.extend(Lease::all().into_iter().filter(|name| prefix_of(&format!("{name}-")) == Some(name)));
    prefixes
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// `fed123x4` of `fed123x4-n1`.
fn prefix_of(name: &str) -> Option<&str> {
    let (prefix, _) = name.split_once('-')?;
    let numbers = prefix.strip_prefix(START)?;
    let (pid, n) = numbers.split_once('x').unwrap_or((numbers, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(pid) && is_number(n)).then_some(prefix)
}

fn remove(lease: &mut Lease) -> Result<()> {
    let start = format!("{}-", lease.prefix());
    for name in names_in(Path::new("/run/netns")).into_iter().filter(|name| name.starts_with(&start)) {
        // Ends what runs inside, and removes it.
        drop(Namespace::existing(name));
    }
    for directory in [PIN_ROOT, "/sys/fs/bpf", RUN_ROOT] {
        for name in names_in(Path::new(directory)).into_iter().filter(|name| name.starts_with(&start)) {
            let path = PathBuf::from(directory).join(name);
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    match lease.bridge() {
        Some(bridge) if Path::new("/sys/class/net").join(&bridge).exists() => {
            run("ip", &["link", "del", &bridge]).map(drop)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_concerns_that_federation_alone() {
        let named = Which::Named(vec!["fed12".to_owned()]);
        assert!(named.concerns("fed12") && !named.concerns("fed123") && Which::Dead.concerns("fed123"));
    }

    #[test]
    fn only_a_federations_names_are_taken_for_one() {
        assert_eq!(prefix_of("fed123-n1"), Some("fed123"));
        assert_eq!(prefix_of("fed123x4-switch"), Some("fed123x4"));
        for other in ["fed123", "federation-n1", "fed-n1", "fed12x-n1", "fedx1-n1", "st123-n1", "dfaas"] {
            assert_eq!(prefix_of(other), None, "{other}");
        }
    }
}
