//! CPU time of each call's processes, without `unsafe` and without a cgroup per function.

use std::{
    future::poll_fn,
    io,
    process::ExitStatus,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use tokio::process::Child;

/// Held while a process is reaped, so that what the agent's children have used grows by that one alone.
static REAPING: Mutex<()> = Mutex::new(());

/// CPU time of all processes that were waited for with it.
#[derive(Debug, Default)]
pub(super) struct CpuTime {
    micros: AtomicU64,
}

impl CpuTime {
    pub(super) fn total(&self) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed))
    }

    /// Waits for the end of `child`; it counts, and so do the processes it waited for. The runtime may at the same
    /// moment reap one that was given up, whose time then counts here; that is rare.
    pub(super) async fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let waiting = child.wait();
        tokio::pin!(waiting);
        poll_fn(|context| {
            let _alone = REAPING.lock().unwrap_or_else(PoisonError::into_inner);
            let before = of_children();
            let ended = waiting.as_mut().poll(context);
            if ended.is_ready() {
                let used = of_children().saturating_sub(before);
                self.micros.fetch_add(used.as_micros() as u64, Relaxed);
            }
            ended
        })
        .await
    }
}

/// Of all children that were reaped so far.
fn of_children() -> Duration {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(Duration::ZERO, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(micros.try_into().unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use tokio::process::Command;

    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).spawn().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_call_that_computes_has_used_more_than_one_that_sleeps() {
        let (busy, idle) = (CpuTime::default(), CpuTime::default());
        let mut computes = shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
        let mut sleeps = shell("sleep 0.05; exit 3");
        let (_, status) = tokio::join!(busy.wait(&mut computes), idle.wait(&mut sleeps));
        assert_eq!(status.unwrap().code(), Some(3));
        assert!(busy.total() > Duration::from_millis(20), "300 000 turns of a shell took {:?}", busy.total());
        assert!(idle.total() < busy.total() / 2, "{:?} {:?}", idle.total(), busy.total());
    }
}
