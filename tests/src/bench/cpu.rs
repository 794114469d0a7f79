//! Whose time the CPUs spend.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use crate::{
    netns::Namespace,
    network::{Host, Network},
};

/// Time on a CPU of all threads of a process: its own code, its system calls, and the interrupts that hit it.
pub(crate) fn of_process(pid: u32) -> Result<u64> {
    let directory = format!("/proc/{pid}/task");
    let mut total = 0;
    for thread in fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let time: Option<u64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
        total += time.with_context(|| format!("{} says {text:?}, expected numbers", path.display()))?;
    }
    Ok(total)
}

/// The same of all child processes that have ended and were waited for.
pub(super) fn of_ended_children() -> Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot tell the time of child processes")?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(us as u64 * 1000)
}

/// Kernel threads that do nothing but handle what arrives at the interfaces of a network.
#[derive(Clone, Debug)]
pub(super) struct PacketThreads {
    node_a: BTreeSet<u32>,
    /// Those of the switch, node B and the client.
    others: BTreeSet<u32>,
}

impl PacketThreads {
    /// Lets them handle packets instead of whatever runs.
    pub(super) fn start(network: &Network) -> Result<Self> {
        let switch = network.switch().context("the switch has no namespace of its own")?;
        let mut others = BTreeSet::new();
        for name in ["n1", "n2", "client"] {
            others.extend(start(switch, &network.port(name))?);
        }
        let mut of_hosts = network.hosts.iter().map(|host| start(&host.namespace, Host::INTERFACE));
        let node_a = of_hosts.next().context("the network has no hosts")??;
        for threads in of_hosts {
            others.extend(threads?);
        }
        Ok(Self { node_a, others })
    }

    /// Of node A's interface.
    pub(super) fn time_of_a(&self) -> Result<u64> {
        self.node_a.iter().map(|pid| of_process(*pid)).sum()
    }

    pub(super) fn time_of_others(&self) -> Result<u64> {
        self.others.iter().map(|pid| of_process(*pid)).sum()
    }
}

fn start(namespace: &Namespace, device: &str) -> Result<BTreeSet<u32>> {
    let before = threads_of(device)?;
    // Segmentation offload at the sending end would leave the packet to the sender (veth).
    namespace.run(&format!("ethtool -K {device} gro on tso off"))?;
    let write = format!("echo 1 >/sys/class/net/{device}/threaded");
    let output = namespace.command("sh").args(["-c", &write]).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{device} cannot have threads (Linux 5.12): {}", error.trim());
    let threads: BTreeSet<u32> = threads_of(device)?.difference(&before).copied().collect();
    ensure!(!threads.is_empty(), "no kernel thread has appeared for {device}");
    Ok(threads)
}

/// Packet threads of all interfaces with this name, in whatever namespace.
fn threads_of(device: &str) -> Result<BTreeSet<u32>> {
    let prefix = format!("napi/{device}-");
    let pids = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(&prefix));
    Ok(pids.filter(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_time_of_this_process() {
        let before = of_process(std::process::id()).unwrap();
        let started = std::time::Instant::now();
        let mut n = 0u64;
        // However little of the CPU we get, time passes on it.
        while of_process(std::process::id()).unwrap() < before + 1_000_000 {
            n = std::hint::black_box(n + 1);
            assert!(started.elapsed().as_secs() < 60, "no time was counted in {n} turns");
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(of_process(u32::MAX).is_err());
    }
}
