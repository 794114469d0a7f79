//! The clocks that the programs read.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

/// `bpf_ktime_get_ns`: CLOCK_MONOTONIC.
pub fn monotonic_ns() -> Result<u64> {
    read(ClockId::CLOCK_MONOTONIC)
}

/// `bpf_ktime_get_tai_ns`: CLOCK_TAI.
pub fn tai_ns() -> Result<u64> {
    read(ClockId::CLOCK_TAI)
}

fn read(id: ClockId) -> Result<u64> {
    let time = clock_gettime(id).context("cannot read a clock")?;
    u64::try_from(Duration::from(time).as_nanos()).context("the clock is out of range")
}
