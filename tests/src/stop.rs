//! The wish to end: set by a signal, asked for by whatever waits.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::signal::unix::{SignalKind, signal};

const POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Set by SIGINT, SIGTERM or SIGHUP; the second of them ends the process at once.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let set = Arc::clone(&stop.0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(|kind| signal(kind).context("cannot handle signals"));
        drop(guard);
        let (mut interrupt, mut terminate, mut hangup) = (interrupt?, terminate?, hangup?);
        thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    if set.swap(true, Relaxed) {
                        eprintln!("ended at once; `cargo xtask clean-federations` removes what is left");
                        process::exit(130);
                    }
                }
            });
        })?;
        Ok(stop)
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// An error if it is set.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.is_set(), "interrupted");
        Ok(())
    }

    /// Waits; false if it was set meanwhile.
    pub fn sleep(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.is_set() {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return true };
            thread::sleep(left.min(POLL));
        }
        false
    }
}
