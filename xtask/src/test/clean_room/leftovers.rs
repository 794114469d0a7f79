//! What a room that was killed has left: its folder and its network namespace, both named after the process.

use std::{fs, path::Path, process};

use anyhow::{Context, Result};

use super::mirror::ip;

/// On a disk: a room takes gigabytes.
pub(super) const SCRATCH: &str = "/var/tmp";
const START: &str = "dfaas-room-";

pub(super) fn name() -> String {
    format!("{START}{}", process::id())
}

pub(super) fn remove() -> Result<()> {
    for name in names_in(SCRATCH).into_iter().filter(|name| is_dead(name, is_alive)) {
        let path = Path::new(SCRATCH).join(name);
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    names_in("/run/netns")
        .iter()
        .filter(|name| is_dead(name, is_alive))
        .try_for_each(|name| ip(&["netns", "del", name]))
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn is_dead(name: &str, is_alive: impl Fn(u32) -> bool) -> bool {
    let pid = name.strip_prefix(START).and_then(|rest| rest.split('-').next()?.parse().ok());
    pid.is_some_and(|pid| !is_alive(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rooms_of_dead_processes_are_left_over() {
        let lives = |pid| pid == 7;
        assert!(is_dead("dfaas-room-8-Xy", lives) && is_dead("dfaas-room-8", lives));
        for other in ["dfaas-room-7-Xy", "dfaas-room-7", "dfaas-room-x", "room8", "dfaas-8"] {
            assert!(!is_dead(other, lives), "{other}");
        }
    }
}
