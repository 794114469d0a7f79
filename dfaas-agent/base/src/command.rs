//! The runtime that commands work in.

use anyhow::{Context as _, Result};

/// For a command that waits for others.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
