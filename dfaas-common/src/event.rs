//! Events worth a look ([`crate::verdict::Verdict::is_notable`]), sent through the ring buffer, at most one per verdict
//! and interval.

use crate::address::Address;

/// Quiet time between two events of the same verdict.
pub const INTERVAL_NS: u64 = 10_000_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Monotonic clock.
    pub time_ns: u64,
    /// Number of the verdict.
    pub verdict: u32,
    /// Index of the function, or [`crate::route::NO_FUNCTION`].
    pub function: u32,
    /// Where the packet came from.
    pub source: Address,
}

const _: () = assert!(size_of::<Event>() == 32);
