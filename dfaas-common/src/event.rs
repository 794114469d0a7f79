//! Events worth a look, sent through the ring buffer, at most one per verdict and interval.

use crate::{address::Address, verdict::Verdict};

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

/// Bit by verdict number: is it worth an event?
pub const NOTABLE: u64 = {
    assert!(Verdict::COUNT <= 64);
    let mut bits = 0;
    let mut i = 0;
    while i < Verdict::COUNT {
        if is_notable(Verdict::ALL[i]) {
            bits |= 1 << i;
        }
        i += 1;
    }
    bits
};

const fn is_notable(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::FirstToPeer
            | Verdict::FirstRefused
            | Verdict::FirstUnavailable
            | Verdict::FlowTableFull
            | Verdict::BouncedBack
            | Verdict::TunnelStranger
            | Verdict::TunnelMalformed
            | Verdict::TunnelWrongEpoch
            | Verdict::TunnelWrongTag
            | Verdict::TunnelWrongService
            | Verdict::TunnelMartian
            | Verdict::PlaceFailed
    )
}
