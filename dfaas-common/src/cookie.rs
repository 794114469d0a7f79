//! The SYN cookie: our sequence number, so that a SYN costs no memory.
//!
//! Two forms. Which one it is, the client's segments tell: who offered timestamps has one in each (RFC 7323, 3.2).
//!
//! * with timestamps: `[31:20]` tag over tuple and epoch, `[19:6]` tag over the same and the client's ISN, `[5]` epoch parity,
//!   `[4:1]` window scale of the client, `[0]` SACK allowed. The timestamp that the client echoes has 21 bits more over the ISN, and
//!   the MSS. A guess passes once in 2^47.
//! * without: `[31:20]` as above, `[19:3]` tag over the ISN, `[2]` epoch parity, `[1:0]` index of what was agreed on. A guess passes
//!   once in 2^29, as with the cookies of Linux (24 bits of hash, two of 256 counts and four of 2^24 values valid), whose price, no
//!   window scaling and no SACK, only clients pay that offer neither or something unusual.
//!
//! Two tags, because two questions are asked: "is this the first data segment of a handshake of ours" (both tags
//! hold) and "is this a later segment of one" (only the upper one does: the client's ISN is unknown by then).

use crate::{
    options::{NO_WINDOW_SCALE, Options},
    packet::Segment,
    siphash::Key,
};

/// The largest segment, bytes: what fits the tunnel at an MTU of 1500: 1400 + 40 (IPv4, TCP) + 52 (tunnel) = 1492.
pub const MAX_MSS: u16 = 1400;
/// Without the option (RFC 9293, 3.7.1).
const DEFAULT_MSS: u16 = 536;
/// What is remembered between the two of a client without timestamps: the least that IPv6 guarantees, less headers.
const MIDDLE_MSS: u16 = 1220;

/// What a handshake has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Segment size that the client takes, bytes.
    pub mss: u16,
    /// Of the client's windows: a shift count, or [`NO_WINDOW_SCALE`].
    pub window_scale: u8,
    pub sack: bool,
}

/// The window scale of a client without timestamps that is agreed to: Windows'.
const USUAL_SCALE: u8 = 8;

/// An epoch lasts 2^39 ns, about 550 s. The previous one is accepted too: clients open connections long before they call.
pub const EPOCH_SHIFT: u32 = 39;

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

/// Bits of a cookie below its tags, and the place of the epoch's parity in them.
#[inline(always)]
const fn low(stamped: bool) -> (u32, u32) {
    if stamped { (6, 5) } else { (3, 2) }
}

/// What is agreed on with a client that offers this.
#[inline(always)]
pub fn agree(options: &Options) -> Agreed {
    let mss = if options.mss == 0 { DEFAULT_MSS } else { options.mss.min(MAX_MSS) };
    if options.has_timestamp {
        return Agreed { mss, window_scale: options.window_scale, sack: options.sack };
    }
    if options.window_scale == USUAL_SCALE && options.sack && mss >= MIDDLE_MSS {
        let mss = if mss == MAX_MSS { MAX_MSS } else { MIDDLE_MSS };
        return Agreed { mss, window_scale: USUAL_SCALE, sack: true };
    }
    let mss = if mss == MAX_MSS { MAX_MSS } else { DEFAULT_MSS };
    Agreed { mss, window_scale: NO_WINDOW_SCALE, sack: false }
}

impl Agreed {
    /// The bits below the parity.
    #[inline(always)]
    fn facts(self, stamped: bool) -> u32 {
        if stamped {
            u32::from(self.window_scale) << 1 | u32::from(self.sack)
        } else {
            u32::from(self.sack) << 1 | u32::from(self.mss == MAX_MSS)
        }
    }
}

/// What was agreed on with the client whose first data segment acknowledges this cookie and, if it has timestamps, echoes that of
/// our SYN-ACK.
#[inline(always)]
pub fn unpack(cookie: u32, stamp: Option<u32>) -> Agreed {
    if let Some(stamp) = stamp {
        return Agreed {
            mss: (stamp & MSS_BITS) as u16,
            window_scale: (cookie >> 1 & 15) as u8,
            sack: cookie & 1 != 0,
        };
    }
    let is_usual = cookie & 2 != 0;
    let less = if is_usual { MIDDLE_MSS } else { DEFAULT_MSS };
    Agreed {
        mss: if cookie & 1 != 0 { MAX_MSS } else { less },
        window_scale: if is_usual { USUAL_SCALE } else { NO_WINDOW_SCALE },
        sack: is_usual,
    }
}

/// What a SYN is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Our sequence number.
    pub cookie: u32,
    /// Our timestamp, which the client echoes until it has data of ours: 21 bits more over its ISN, and the MSS. By the cookie
    /// alone one in 16,384 of the segments behind a lost first one would pass for the first. Never 0.
    pub stamp: u32,
}

#[inline(always)]
fn tuple_hash(key: Key, segment: &Segment, epoch: u32) -> u64 {
    key.hash2(
        u64::from(segment.source.raw()) << 32 | u64::from(segment.destination.raw()),
        u64::from(segment.ports()) << 32 | u64::from(epoch),
    )
}

/// Its upper bits are the cookie's second tag, its lower half the stamp. `low` is what lies below that tag.
#[inline(always)]
fn isn_hash(key: Key, tuple_hash: u64, client_isn: u32, low: u32, stamped: bool) -> u64 {
    key.hash2(tuple_hash, u64::from(client_isn) << 32 | u64::from(stamped) << 8 | u64::from(low))
}

/// The first tag, in its place.
#[inline(always)]
fn tuple_tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & 0xfff0_0000
}

/// The second tag, in its place above so many bits.
#[inline(always)]
fn isn_tag(hash: u64, bits: u32) -> u32 {
    (hash >> 44) as u32 & 0x000f_ffff & (u32::MAX << bits)
}

/// Those of a stamp that are the MSS. Whoever changes them in his echo changes what he is sent himself.
const MSS_BITS: u32 = 0x7ff;
const _: () = assert!(MAX_MSS as u32 <= MSS_BITS);

/// Is this what a client echoes that was given this stamp?
#[inline(always)]
pub fn is_echo(echo: u32, stamp: u32) -> bool {
    echo & !MSS_BITS == stamp & !MSS_BITS && echo & MSS_BITS != 0
}

/// For a SYN with this initial sequence number. What was [agreed](agree) on is in it.
#[inline(always)]
pub fn make(key: Key, segment: &Segment, client_isn: u32, agreed: &Agreed, stamped: bool, epoch: u32) -> Made {
    let (bits, parity) = low(stamped);
    let low = agreed.facts(stamped) | (epoch & 1) << parity;
    let tuple_hash = tuple_hash(key, segment, epoch);
    let isn_hash = isn_hash(key, tuple_hash, client_isn, low, stamped);
    Made {
        cookie: tuple_tag(tuple_hash) | isn_tag(isn_hash, bits) | low,
        stamp: isn_hash as u32 & !MSS_BITS | u32::from(agreed.mss),
    }
}

/// The epoch that made this cookie, if it is the current or the previous one.
#[inline(always)]
pub fn epoch_of(cookie: u32, stamped: bool, now: u32) -> u32 {
    let (_, parity) = low(stamped);
    now.wrapping_sub((cookie >> parity & 1) ^ (now & 1))
}

/// `epoch` is [`epoch_of`] the cookie, `key` that epoch's. The stamp is what a client with timestamps must [echo](is_echo) if the
/// kind is [`Kind::First`], and means nothing otherwise.
#[inline(always)]
pub fn check(key: Key, segment: &Segment, client_isn: u32, cookie: u32, stamped: bool, epoch: u32) -> (Kind, u32) {
    let (bits, _) = low(stamped);
    let tuple_hash = tuple_hash(key, segment, epoch);
    if tuple_tag(tuple_hash) != cookie & 0xfff0_0000 {
        return (Kind::Foreign, 0);
    }
    let isn_hash = isn_hash(key, tuple_hash, client_isn, cookie & !(u32::MAX << bits), stamped);
    let is_first = isn_tag(isn_hash, bits) == cookie & 0x000f_ffff & (u32::MAX << bits);
    (if is_first { Kind::First } else { Kind::Later }, isn_hash as u32)
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

    const LINUX: Agreed = Agreed { mss: MAX_MSS, window_scale: 7, sack: true };

    fn verdict(key: Key, s: &Segment, isn: u32, cookie: u32, stamped: bool, now: u32) -> Kind {
        check(key, s, isn, cookie, stamped, epoch_of(cookie, stamped, now)).0
    }

    proptest! {
        #[test]
        fn a_cookie_is_valid_in_its_epoch_and_the_next_only(
            k0: u64, k1: u64, isn: u32, epoch: u32, source: u32, port: u16, mss: u16, window_scale in 0u8..=15, sack: bool,
            stamped: bool,
        ) {
            let (key, s) = (Key(k0, k1), segment(source, port));
            let agreed = agree(&Options { mss, window_scale, sack, has_timestamp: stamped, ..Options::NONE });
            let Made { cookie, stamp } = make(key, &s, isn, &agreed, stamped, epoch);
            let of = epoch_of(cookie, stamped, epoch);
            let (kind, expected) = check(key, &s, isn, cookie, stamped, of);
            prop_assert_eq!((kind, is_echo(stamp, expected)), (Kind::First, true));
            prop_assert_eq!(verdict(key, &s, isn, cookie, stamped, epoch.wrapping_add(1)), Kind::First);
            prop_assert_ne!(verdict(key, &s, isn, cookie, stamped, epoch.wrapping_add(2)), Kind::First);
            prop_assert_eq!(unpack(cookie, stamped.then_some(stamp)), agreed);
        }

        /// Never more than the client can do.
        #[test]
        fn what_is_agreed_on_was_offered(mss: u16, window_scale in 0u8..=15, sack: bool, has_timestamp: bool) {
            let options = Options { mss, window_scale, sack, has_timestamp, ..Options::NONE };
            let agreed = agree(&options);
            let is_least = agreed.mss == DEFAULT_MSS && (mss == 0 || !has_timestamp);
            prop_assert!(agreed.mss <= MAX_MSS && (agreed.mss <= mss || is_least));
            prop_assert!(!has_timestamp || mss == 0 || agreed.mss == mss.min(MAX_MSS));
            prop_assert!(agreed.window_scale == window_scale || !has_timestamp && agreed.window_scale == NO_WINDOW_SCALE);
            prop_assert!(agreed.sack == sack || !has_timestamp && !agreed.sack);
        }
    }

    #[test]
    fn the_usual_clients_get_what_they_offer() {
        let agreed = |mss, window_scale, sack, has_timestamp| {
            let options = Options { mss, window_scale, sack, has_timestamp, ..Options::NONE };
            let Agreed { mss, window_scale, sack } = agree(&options);
            (mss, window_scale, sack)
        };
        assert_eq!(agreed(1460, 7, true, true), (1400, 7, true), "Linux");
        assert_eq!(agreed(1460, 6, true, true), (1400, 6, true), "macOS");
        assert_eq!(agreed(1460, 8, true, false), (1400, 8, true), "Windows");
        assert_eq!(agreed(1300, 8, true, false), (1220, 8, true), "Windows behind a tunnel");
        assert_eq!(agreed(1460, NO_WINDOW_SCALE, false, false), (1400, NO_WINDOW_SCALE, false), "lwIP");
        assert_eq!(agreed(536, NO_WINDOW_SCALE, false, false), (536, NO_WINDOW_SCALE, false), "lwIP, small");
        assert_eq!(agreed(1000, 7, true, true), (1000, 7, true), "as asked");
        assert_eq!(agreed(1460, 7, true, false), (1400, NO_WINDOW_SCALE, false), "Linux without timestamps");
    }

    #[test]
    fn the_stamp_tells_sequence_numbers_apart_that_the_cookie_does_not() {
        let (key, s) = (Key(1, 2), segment(1, 3));
        let Made { cookie, stamp } = make(key, &s, 5, &LINUX, true, 9);
        let checked = (6..1 << 16).map(|isn| check(key, &s, isn, cookie, true, 9));
        let passing: Vec<u32> = checked.filter(|(kind, _)| *kind == Kind::First).map(|(_, stamp)| stamp).collect();
        assert!(!passing.is_empty());
        assert!(!passing.iter().any(|expected| is_echo(stamp, *expected)));
    }

    #[test]
    fn a_later_sequence_number_is_told_from_the_first() {
        let (key, s) = (Key(1, 2), segment(1, 3));
        for stamped in [true, false] {
            let cookie = make(key, &s, 5, &LINUX, stamped, 9).cookie;
            assert_eq!(verdict(key, &s, 6, cookie, stamped, 9), Kind::Later);
            assert_ne!(verdict(key, &s, 5, cookie, !stamped, 9), Kind::First, "one form is not the other");
        }
    }

    #[test]
    fn forgeries_fail() {
        let key = Key(3, 4);
        let s = segment(1, 3);
        for stamped in [true, false] {
            let cookie = make(key, &s, 77, &LINUX, stamped, 9).cookie;
            let verdict = |key, s: &Segment, isn, cookie| verdict(key, s, isn, cookie, stamped, 9);
            for bit in 0..32 {
                assert_ne!(verdict(key, &s, 77, cookie ^ 1 << bit), Kind::First, "bit {bit}");
            }
            assert_ne!(verdict(Key(3, 5), &s, 77, cookie), Kind::First, "another key");
            assert_ne!(verdict(key, &segment(2, 3), 77, cookie), Kind::First, "another address");
            assert_ne!(verdict(key, &segment(1, 4), 77, cookie), Kind::First, "another port");
        }
    }

    /// How many of all 2^32 guesses for one handshake pass: by the parts that are compared. All of the lower 20 bits, for the
    /// upper twelve bits that pass, and all of the upper ones.
    #[test]
    fn as_many_guesses_pass_as_is_said() {
        let (key, s) = (Key(3, 4), segment(1, 3));
        for (stamped, expected) in [(true, 1 << 6), (false, 1 << 3)] {
            let is_known = |upper: &u32| {
                [0, 1 << low(stamped).1]
                    .iter()
                    .any(|parity| verdict(key, &s, 77, upper << 20 | parity, stamped, 9) != Kind::Foreign)
            };
            let mut passing = 0;
            for upper in (0..1 << 12).filter(is_known) {
                let guesses = (0..1u32 << 20).map(|lower| upper << 20 | lower);
                passing += guesses.filter(|guess| verdict(key, &s, 77, *guess, stamped, 9) == Kind::First).count();
            }
            // Both epochs, each with all its facts: with a stamp that must be right too in one case, alone in the other.
            assert_eq!(passing, expected, "stamped: {stamped}");
        }
    }

    #[test]
    fn keys_switch_at_the_epoch_that_was_announced() {
        let secret = Secret { current: Key(1, 1), next: Key(2, 2), switch_epoch: 10, reserved: 0 };
        assert_eq!((secret.key(9), secret.key(10), secret.key(11)), (Key(1, 1), Key(2, 2), Key(2, 2)));
        let secret = Secret { switch_epoch: 0, ..secret };
        assert_eq!((secret.key(u32::MAX), secret.key(0)), (Key(1, 1), Key(2, 2)));
    }
}
