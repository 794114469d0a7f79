//! Ends a command together with everything it started.

use std::{collections::BTreeMap, fs, process::Child, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill as signal},
    unistd::Pid,
};

/// Time to clean up between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// What `/proc/PID/stat` tells of a process; the start tells a process from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: i32,
    start_ticks: u64,
}

/// The family is listed before the first signal: an orphan's parent is no longer the command.
pub(super) fn kill(child: &mut Child) -> Result<()> {
    let root = i32::try_from(child.id()).context("process id out of range")?;
    let before = processes();
    let family = descendants(root, &before);
    for pid in &family {
        let _ = signal(Pid::from_raw(*pid), Signal::SIGTERM);
    }
    std::thread::sleep(GRACE);
    let after = processes();
    for pid in family.iter().filter(|pid| same_process(before.get(pid), after.get(pid))) {
        let _ = signal(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    child.wait().context("cannot collect the killed command")?;
    Ok(())
}

fn same_process(before: Option<&Process>, after: Option<&Process>) -> bool {
    before.zip(after).is_some_and(|(before, after)| before.start_ticks == after.start_ticks)
}

fn descendants(root: i32, processes: &BTreeMap<i32, Process>) -> Vec<i32> {
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let of = family[next];
        family.extend(processes.iter().filter(|(pid, p)| p.parent == of && **pid != of).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}

fn processes() -> BTreeMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// Fields 4 and 22 of `/proc/PID/stat`; the name (field 2) may itself hold blanks and brackets.
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Process { parent, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_start_are_read_behind_a_name_with_brackets() {
        let stat = "12 (a) b) S 7 12 12 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 4242 99 1";
        assert_eq!(parse_stat(stat), Some(Process { parent: 7, start_ticks: 4242 }));
        assert_eq!(parse_stat("12 a S 7"), None);
    }

    #[test]
    fn descendants_are_found_over_generations_and_strangers_are_not() {
        let child_of = |parent| Process { parent, start_ticks: 1 };
        let all = [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1)].map(|(pid, parent)| (pid, child_of(parent)));
        assert_eq!(descendants(10, &BTreeMap::from(all)), [10, 11, 12]);
    }

    #[test]
    fn a_reused_process_number_is_somebody_else() {
        let (old, new) = (Process { parent: 1, start_ticks: 5 }, Process { parent: 1, start_ticks: 6 });
        assert!(same_process(Some(&old), Some(&old)));
        assert!(!same_process(Some(&old), Some(&new)) && !same_process(Some(&old), None));
    }
}
