//! What a neighbour's streams carry of gossip. A stream does not know what it carries, and the library's gossip not what
//! its streams do: both are asked within one look at a connection, and the meter of the neighbour stands around it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Of one neighbour: written by its connections, read by the node's task.
#[derive(Debug, Default)]
pub(super) struct Meter {
    written: AtomicU64,
    empty: AtomicBool,
}

#[derive(Clone, Default)]
struct Look {
    meter: Arc<Meter>,
    blocked: Arc<AtomicBool>,
}

tokio::task_local! {
    /// Whose gossip is looked at.
    static LOOK: Look;
}

impl Meter {
    /// Looks at a connection's gossip. `is_empty` says of what was seen whether the queue is empty, if no stream has to
    /// wait.
    pub(super) fn watch<T>(self: &Arc<Self>, look: impl FnOnce() -> T, is_empty: impl FnOnce(&T) -> bool) -> T {
        let around = Look { meter: Arc::clone(self), blocked: Arc::default() };
        let seen = LOOK.sync_scope(around.clone(), look);
        if is_empty(&seen) && !around.blocked.load(Ordering::Relaxed) {
            self.empty.store(true, Ordering::Release);
        }
        seen
    }

    /// Bytes of gossip written, in all.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The queue has been seen empty since the last message.
    pub(super) fn is_empty(&self) -> bool {
        self.empty.load(Ordering::Acquire)
    }

    pub(super) fn has_message(&self) {
        self.empty.store(false, Ordering::Release);
    }
}

/// A stream has written so many bytes.
pub(super) fn wrote(bytes: usize) {
    let _ = LOOK.try_with(|look| look.meter.written.fetch_add(bytes as u64, Ordering::Relaxed));
}

/// A stream has to wait before it can write more, or is broken.
pub(super) fn blocked() {
    let _ = LOOK.try_with(|look| look.blocked.store(true, Ordering::Relaxed));
}
