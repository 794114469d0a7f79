//! A client port that comes back while the server still keeps the last connection in TIME_WAIT: is this first packet of
//! another connection, or a late duplicate of the old one, whose call has been served?
//!
//! The client's numbers alone do not tell: devices behind one NAT and devices that were switched off come back with older
//! ones. Ours do: each handshake has a stamp of its own, a hash that is the first value of our timestamps on that
//! connection, and the kernel remembers by how much it differs from its clock.

use crate::{cookie::EPOCH_SHIFT, options::Options, packet::Segment};

/// What the kernel keeps of a connection in TIME_WAIT (`struct tcp_timewait_sock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWait {
    /// Sequence number behind the client's last byte.
    pub rcv_nxt: u32,
    /// The client's last timestamp; 0: the connection had none.
    pub ts_recent: u32,
    /// What our timestamps were above the clock, milliseconds.
    pub ts_offset: u32,
}

/// A handshake is good for this and the previous epoch; and the packet takes its time from XDP to TC. Milliseconds. Of 3,900
/// other handshakes one has a stamp that lies in it by chance, and is then judged by the client's numbers alone.
const HANDSHAKE_LIFE_MS: u32 = ((2u64 << EPOCH_SHIFT) / 1_000_000) as u32;

/// The programs' clock lags behind the kernel's by up to a tick, and packets wait in between. Milliseconds.
const SLACK_MS: u32 = 1_000;

/// `renewed`: it is known from elsewhere that this is not the last connection.
#[inline(always)]
pub fn is_another(waiting: &TimeWait, s: &Segment, o: &Options, renewed: bool, now_ns: u64) -> bool {
    if newer(s.sequence, waiting.rcv_nxt) {
        return true;
    }
    let had_timestamps = waiting.ts_recent != 0;
    if had_timestamps != o.has_timestamp {
        return true;
    }
    if !o.has_timestamp {
        return renewed;
    }
    // The stamp is what the clock and the offset were when the socket was made.
    let made_ms = o.timestamp_echo.wrapping_sub(waiting.ts_offset);
    let age_ms = ((now_ns / 1_000_000) as u32).wrapping_sub(made_ms).wrapping_add(SLACK_MS);
    age_ms > HANDSHAKE_LIFE_MS + 2 * SLACK_MS || newer(o.timestamp, waiting.ts_recent)
}

#[inline(always)]
pub fn newer(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_NS: u64 = 3_600_000_000_000;
    const NOW_MS: u32 = 3_600_000;

    fn first(sequence: u32) -> Segment {
        Segment { sequence, payload_len: 100, ..Segment::NONE }
    }

    fn stamped(timestamp: u32, timestamp_echo: u32) -> Options {
        Options { has_timestamp: true, timestamp, timestamp_echo, ..Options::NONE }
    }

    /// The socket of a connection with this first packet, made so long ago; `more` came behind its payload.
    fn left_by(s: &Segment, o: &Options, age_ms: u32, more: u32) -> TimeWait {
        TimeWait {
            rcv_nxt: s.end().wrapping_add(more).wrapping_add(1),
            ts_recent: if o.has_timestamp { o.timestamp.wrapping_add(age_ms).max(1) } else { 0 },
            ts_offset: if o.has_timestamp { o.timestamp_echo.wrapping_sub(NOW_MS - age_ms) } else { 0 },
        }
    }

    proptest! {
        #[test]
        fn a_duplicate_of_the_first_packet_is_not_another(
            sequence: u32, timestamp in 1u32.., stamp: u32, age_ms in 0u32..HANDSHAKE_LIFE_MS, more in 0u32..1 << 30,
            renewed: bool,
        ) {
            let (s, o) = (first(sequence), stamped(timestamp, stamp));
            let waiting = left_by(&s, &o, age_ms, more);
            prop_assert!(!is_another(&waiting, &s, &o, renewed, NOW_NS));
            let waiting = left_by(&s, &Options::NONE, age_ms, more);
            prop_assert!(!is_another(&waiting, &s, &Options::NONE, false, NOW_NS));
        }

        #[test]
        fn another_handshake_is_another_however_old_its_numbers(
            sequence: u32, timestamp in 1u32.., stamps: (u32, u32), age_ms in 0u32..60_000, back in 0u32..1 << 31,
        ) {
            let s = first(sequence);
            let waiting = left_by(&s, &stamped(timestamp, stamps.0), age_ms, 0);
            // But for those whose stamps are too near to each other to tell.
            let apart = stamps.0.wrapping_sub(stamps.1).cast_signed().unsigned_abs();
            prop_assume!(apart > 2 * HANDSHAKE_LIFE_MS);
            let older = stamped(timestamp.wrapping_sub(back), stamps.1);
            prop_assert!(is_another(&waiting, &first(sequence.wrapping_sub(back)), &older, false, NOW_NS));
            // One of the two had timestamps: not the same.
            prop_assert!(is_another(&waiting, &s, &Options::NONE, false, NOW_NS));
            prop_assert!(is_another(&left_by(&s, &Options::NONE, age_ms, 0), &s, &older, false, NOW_NS));
        }

        #[test]
        fn without_timestamps_what_is_known_from_elsewhere_decides(sequence: u32, back in 0u32..1 << 30, renewed: bool) {
            let waiting = left_by(&first(sequence), &Options::NONE, 0, 0);
            let older = first(sequence.wrapping_sub(back));
            prop_assert_eq!(is_another(&waiting, &older, &Options::NONE, renewed, NOW_NS), renewed);
            let newer = first(waiting.rcv_nxt.wrapping_add(1 + back));
            prop_assert!(is_another(&waiting, &newer, &Options::NONE, renewed, NOW_NS));
        }
    }
}
