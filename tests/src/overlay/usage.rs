//! What this process and its network namespace have used so far.

use std::{fs, ops::Sub};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::bench::cpu;

/// Of the calling thread's namespace: the process may have begun in another one.
const INTERFACES: &str = "/proc/thread-self/net/dev";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) cpu_ns: u64,
    /// Over loopback, with the headers of IP and TCP: what is sent is received.
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) memory_bytes: u64,
}

impl Usage {
    pub(super) fn now() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let (bytes, packets) = loopback(&read(INTERFACES)?).with_context(|| format!("no lo in {INTERFACES}"))?;
        let memory_bytes = resident(&read("/proc/self/status")?).context("no VmRSS in /proc/self/status")?;
        Ok(Self { cpu_ns: cpu::of_process(std::process::id())?, bytes, packets, memory_bytes })
    }
}

/// What was used in between; memory is what is in use at the end.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            bytes: self.bytes.saturating_sub(before.bytes),
            packets: self.packets.saturating_sub(before.packets),
            memory_bytes: self.memory_bytes,
        }
    }
}

/// Bytes and packets that `lo` has received.
fn loopback(text: &str) -> Option<(u64, u64)> {
    let counts = text.lines().find_map(|line| line.trim_start().strip_prefix("lo:"))?;
    let mut words = counts.split_whitespace().map(|word| word.parse().ok());
    Some((words.next()??, words.next()??))
}

fn resident(text: &str) -> Option<u64> {
    let words = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(words.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Two peers may dial each other at once: four ends for each pair.
pub(super) fn allow_files(nodes: usize) -> Result<()> {
    let wanted = (2 * nodes * nodes + 256) as u64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    ensure!(wanted <= hard, "{nodes} agents need {wanted} open files, the limit is {hard} (ulimit -Hn)");
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("cannot raise the limit of open files")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_lo_are_read() {
        let text =
            "Inter-|   Receive   |  Transmit\n face |bytes    packets errs\n  eth0: 7 8 0\n    lo: 1234  56 0 0 0\n";
        assert_eq!(loopback(text), Some((1234, 56)));
        assert_eq!(loopback("  eth0: 7 8 0\n"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn more_files_than_the_machine_allows_are_refused_by_number() {
        let error = allow_files(1 << 20).unwrap_err().to_string();
        assert!(error.contains("1048576 agents"), "{error}");
    }
}
