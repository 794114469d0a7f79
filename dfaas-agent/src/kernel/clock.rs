//! The clock that the programs read.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

/// `bpf_ktime_get_ns` and, some milliseconds behind, `bpf_ktime_get_coarse_ns`: CLOCK_MONOTONIC.
pub(crate) fn monotonic_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).context("cannot read the monotonic clock")?;
    u64::try_from(Duration::from(time).as_nanos()).context("the monotonic clock is out of range")
}
