//! The SYN cookie: our sequence number, so that a SYN costs no memory.
//!
//! `[31:20]` tag over tuple and epoch, `[19:8]` tag over the same and the client's ISN, `[7]` epoch parity,
//! `[6:5]` index of the MSS, `[4:1]` window scale of the client, `[0]` SACK allowed.
//!
//! Two tags, because two questions are asked: "is this the first data segment of a handshake of ours" (both tags
//! hold) and "is this a later segment of one" (only the upper one does: the client's ISN is unknown by then).

use crate::{options::Options, packet::Segment, siphash::Key};

/// Segment sizes that a cookie can remember, bytes. The last one is what fits the tunnel at an MTU of 1500:
/// 1400 + 40 (IPv4, TCP) + 52 (tunnel) = 1492.
pub const MSS: [u16; 4] = [536, 1220, 1360, 1400];

/// An epoch lasts 2^37 ns, about 137 s. The previous one is accepted too: browsers open connections early.
pub const EPOCH_SHIFT: u32 = 37;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// No cookie of ours.
    Foreign = 0,
    /// A handshake of ours, not its first byte.
    Later = 1,
    First = 2,
}

impl Kind {
    /// What is no kind's number is nothing of ours.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Later,
            2 => Self::First,
            _ => Self::Foreign,
        }
    }
}

/// Keys of the cookie and when the second takes over. Map value; the agent moves `next` to `current` and draws a new
/// one with `switch_epoch` in the future, so no epoch ever has two keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Secret {
    pub current: Key,
    pub next: Key,
    /// First epoch that uses `next`.
    pub switch_epoch: u32,
    pub reserved: u32,
}

impl Secret {
    #[inline(always)]
    pub fn key(&self, epoch: u32) -> Key {
        // Wrapping difference: correct across the wrap of the epoch counter.
        if epoch.wrapping_sub(self.switch_epoch).cast_signed() < 0 { self.current } else { self.next }
    }
}

/// Epoch at a time of the monotonic clock, which nobody sets, nanoseconds.
#[inline(always)]
pub const fn epoch(monotonic_ns: u64) -> u32 {
    (monotonic_ns >> EPOCH_SHIFT) as u32
}

/// What the client offered, in the cookie's low seven bits.
#[inline(always)]
pub fn facts(options: &Options) -> u32 {
    // Without the option 536 bytes are assumed (RFC 9293, 3.7.1).
    let mss = if options.mss == 0 { MSS[0] } else { options.mss };
    let index = u32::from(mss >= MSS[1]) + u32::from(mss >= MSS[2]) + u32::from(mss >= MSS[3]);
    index << 5 | u32::from(options.window_scale) << 1 | u32::from(options.sack)
}

/// MSS, window scale (15: none) and SACK as the cookie remembers them.
#[inline(always)]
pub fn unpack(cookie: u32) -> (u16, u8, bool) {
    (MSS[(cookie >> 5 & 3) as usize], (cookie >> 1 & 15) as u8, cookie & 1 != 0)
}

/// What a SYN is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Our sequence number.
    pub cookie: u32,
    /// Our timestamp, which the client echoes until it has data of ours: 32 bits more over its ISN. By the cookie alone
    /// one in 4096 of the segments behind a lost first one would pass for the first. Never 0.
    pub stamp: u32,
}

#[inline(always)]
fn tuple_hash(key: Key, segment: &Segment, epoch: u32) -> u64 {
    key.hash2(
        u64::from(segment.source.raw()) << 32 | u64::from(segment.destination.raw()),
        u64::from(segment.ports()) << 32 | u64::from(epoch),
    )
}

/// Its upper bits are the cookie's second tag, its lower half the stamp.
#[inline(always)]
fn isn_hash(key: Key, tuple_hash: u64, client_isn: u32, facts: u32) -> u64 {
    key.hash2(tuple_hash, u64::from(client_isn) << 32 | u64::from(facts))
}

#[inline(always)]
fn tag(hash: u64) -> u32 {
    (hash >> 52) as u32
}

#[inline(always)]
fn stamp(isn_hash: u64) -> u32 {
    isn_hash as u32 | 1
}

/// For a SYN with this initial sequence number.
#[inline(always)]
pub fn make(key: Key, segment: &Segment, client_isn: u32, facts: u32, epoch: u32) -> Made {
    let facts = facts | (epoch & 1) << 7;
    let tuple_hash = tuple_hash(key, segment, epoch);
    let isn_hash = isn_hash(key, tuple_hash, client_isn, facts);
    Made { cookie: tag(tuple_hash) << 20 | tag(isn_hash) << 8 | facts, stamp: stamp(isn_hash) }
}

/// The epoch that made this cookie, if it is the current or the previous one.
#[inline(always)]
pub fn epoch_of(cookie: u32, now: u32) -> u32 {
    now.wrapping_sub((cookie >> 7 & 1) ^ (now & 1))
}

/// `epoch` is [`epoch_of`] the cookie, `key` that epoch's. The stamp is what a client with timestamps must echo if the kind
/// is [`Kind::First`], and means nothing otherwise.
#[inline(always)]
pub fn check(key: Key, segment: &Segment, client_isn: u32, cookie: u32, epoch: u32) -> (Kind, u32) {
    let tuple_hash = tuple_hash(key, segment, epoch);
    if tag(tuple_hash) != cookie >> 20 {
        return (Kind::Foreign, 0);
    }
    let isn_hash = isn_hash(key, tuple_hash, client_isn, cookie & 0xff);
    let kind = if tag(isn_hash) == cookie >> 8 & 0xfff { Kind::First } else { Kind::Later };
    (kind, stamp(isn_hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressV4;
    use proptest::prelude::*;

    fn segment(source: u32, source_port: u16) -> Segment {
        Segment {
            source: AddressV4::from_raw(source),
            destination: AddressV4::from_raw(2),
            source_port,
            destination_port: 80,
            sequence: 5,
            acknowledgement: 6,
            header_len: 20,
            payload_len: 0,
            flags: 0,
        }
    }

    fn verdict(key: Key, s: &Segment, isn: u32, cookie: u32, now: u32) -> Kind {
        check(key, s, isn, cookie, epoch_of(cookie, now)).0
    }

    proptest! {
        #[test]
        fn a_cookie_is_valid_in_its_epoch_and_the_next_only(
            k0: u64, k1: u64, isn: u32, epoch: u32, source: u32, port: u16, facts in 0u32..128,
        ) {
            let (key, s) = (Key(k0, k1), segment(source, port));
            let Made { cookie, stamp } = make(key, &s, isn, facts, epoch);
            prop_assert_eq!(check(key, &s, isn, cookie, epoch_of(cookie, epoch)), (Kind::First, stamp));
            prop_assert_eq!(verdict(key, &s, isn, cookie, epoch.wrapping_add(1)), Kind::First);
            prop_assert_ne!(verdict(key, &s, isn, cookie, epoch.wrapping_add(2)), Kind::First);
            prop_assert_eq!(cookie & 0x7f, facts);
        }

        #[test]
        fn facts_survive(mss: u16, window_scale in 0u8..=15, sack: bool) {
            let options = Options { mss, window_scale, sack, ..Options::NONE };
            let (m, w, s) = unpack(facts(&options));
            prop_assert!(MSS.contains(&m) && (m <= mss || m == MSS[0]));
            prop_assert_eq!((w, s), (window_scale, sack));
        }
    }

    #[test]
    fn the_stamp_tells_sequence_numbers_apart_that_the_cookie_does_not() {
        let (key, s) = (Key(1, 2), segment(1, 3));
        let Made { cookie, stamp } = make(key, &s, 5, 0x4f, 9);
        let checked = (6..1 << 16).map(|isn| check(key, &s, isn, cookie, 9));
        let passing: Vec<u32> = checked.filter(|(kind, _)| *kind == Kind::First).map(|(_, stamp)| stamp).collect();
        assert!(!passing.is_empty());
        assert!(!passing.contains(&stamp));
    }

    #[test]
    fn a_later_sequence_number_is_told_from_the_first() {
        let (key, s) = (Key(1, 2), segment(1, 3));
        let cookie = make(key, &s, 5, 0x4f, 9).cookie;
        assert_eq!(verdict(key, &s, 6, cookie, 9), Kind::Later);
    }

    /// 2^24 guesses are needed on average; of 2^16 at most a handful may hit, and of single-bit forgeries none.
    #[test]
    fn forgeries_fail() {
        let key = Key(3, 4);
        let s = segment(1, 3);
        let cookie = make(key, &s, 77, 0x61, 9).cookie;
        for bit in 0..32 {
            assert_ne!(verdict(key, &s, 77, cookie ^ 1 << bit, 9), Kind::First, "bit {bit}");
        }
        assert_ne!(verdict(Key(3, 5), &s, 77, cookie, 9), Kind::First, "another key");
        assert_ne!(verdict(key, &segment(2, 3), 77, cookie, 9), Kind::First, "another address");
        assert_ne!(verdict(key, &segment(1, 4), 77, cookie, 9), Kind::First, "another port");
        let hits =
            (0..1u32 << 16).filter(|g| verdict(key, &s, 78, g.wrapping_mul(0x9e37_79b1), 9) == Kind::First).count();
        assert!(hits <= 3, "{hits} of 65536 guesses passed");
    }

    #[test]
    fn keys_switch_at_the_epoch_that_was_announced() {
        let secret = Secret { current: Key(1, 1), next: Key(2, 2), switch_epoch: 10, reserved: 0 };
        assert_eq!((secret.key(9), secret.key(10), secret.key(11)), (Key(1, 1), Key(2, 2), Key(2, 2)));
        let secret = Secret { switch_epoch: 0, ..secret };
        assert_eq!((secret.key(u32::MAX), secret.key(0)), (Key(1, 1), Key(2, 2)));
    }
}
