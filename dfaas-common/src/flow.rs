//! The flow table: one decision per client connection.

use crate::{
    address::{Address, AddressV4},
    packet::{Be16, FIN, RST, Segment},
};

/// A client's end of a connection to the service address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    pub address: Address,
    pub port: Be16,
    pub reserved: u16,
}

impl FlowKey {
    /// The port as on the wire.
    #[inline(always)]
    pub fn v4(address: AddressV4, port: u16) -> Self {
        Self { address: address.into(), port: Be16::from_raw(port), reserved: 0 }
    }

    /// Its bytes, for comparing and hashing word by word.
    #[inline(always)]
    pub fn words(&self) -> [u32; 5] {
        // SAFETY: twenty bytes without padding, aligned to words.
        unsafe { core::mem::transmute_copy(self) }
    }
}

/// Which of HAProxy's listeners gets a connection that stays here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Listener {
    /// The one at the service address: HAProxy steers the call.
    Proxy = 0,
    /// The one for calls that the kernel has admitted.
    Placed = 1,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, u32)]
pub enum Target {
    /// This node serves it.
    Local(Listener) = 1,
    /// The peer of this number.
    Peer(u32) = 2,
    /// Nobody: the kernel gives the answer of this index.
    Refused(u32) = 3,
}

/// A [`Target`] as it lies in a map, where any bits may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StoredTarget {
    kind: u32,
    detail: u32,
}

impl From<Target> for StoredTarget {
    #[inline(always)]
    fn from(target: Target) -> Self {
        let (kind, detail) = match target {
            Target::Local(listener) => (1, listener as u32),
            Target::Peer(number) => (2, number),
            Target::Refused(answer) => (3, answer),
        };
        Self { kind, detail }
    }
}

impl From<StoredTarget> for Target {
    /// What is no target's number is HAProxy's to steer.
    #[inline(always)]
    fn from(stored: StoredTarget) -> Self {
        match (stored.kind, stored.detail) {
            (2, number) => Self::Peer(number),
            (3, answer) => Self::Refused(answer),
            (_, 1) => Self::Local(Listener::Placed),
            _ => Self::Local(Listener::Proxy),
        }
    }
}

/// The client has sent FIN.
pub const CLIENT_FINISHED: u8 = 1;
/// The peer has sent FIN.
pub const PEER_FINISHED: u8 = 2;
/// Both have, or one has reset.
pub const FINISHED: u8 = CLIENT_FINISHED | PEER_FINISHED;
/// The client has acknowledged something of an answer.
pub const CLIENT_HEARD: u8 = 4;

/// How far ahead of what the peer waits for a client's FIN or reset may be: a window that is scaled.
const PLAUSIBLE_BYTES: u32 = 1 << 20;

/// What a client's segment says about the end of a connection whose peer waits for the sequence number `expected`.
///
/// Whoever does not see the connection cannot end it: a reset must have exactly that number (RFC 5961, 3.2). One that comes
/// behind lost packets is taken for a FIN; the entry then lasts a minute longer than the connection.
#[inline(always)]
pub fn end_by_client(s: &Segment, expected: u32) -> u8 {
    if !s.has(FIN | RST) {
        return 0;
    }
    let ahead = s.sequence.wrapping_sub(expected);
    if ahead == 0 && s.has(RST) {
        FINISHED
    } else if ahead < PLAUSIBLE_BYTES {
        CLIENT_FINISHED
    } else {
        0
    }
}

/// The same of a peer's segment, which has proved itself.
#[inline(always)]
pub fn end_by_peer(s: &Segment) -> u8 {
    if s.has(RST) {
        FINISHED
    } else if s.has(FIN) {
        PEER_FINISHED
    } else {
        0
    }
}

/// How long a connection given to a peer may be silent before it is taken for lost, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The peer has said all it had to say.
    pub answered_ns: u64,
    /// The client waits for an answer, and will say nothing more, or has not been heard since its first packet.
    pub waiting_ns: u64,
    /// Anything else: both may still have something to say.
    pub open_ns: u64,
}

/// What was decided for a connection. Written by XDP only; the agent reads and sweeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// Link-layer address the client's frames come from: where answers go.
    pub mac: [u8; 6],
    /// [`CLIENT_FINISHED`], [`PEER_FINISHED`], [`CLIENT_HEARD`].
    pub finished: u8,
    /// Peers that have refused this connection so far.
    pub bounces: u8,
    pub target: StoredTarget,
    pub client_isn: u32,
    /// Ours: the cookie.
    pub our_isn: u32,
    /// ISN of a newer SYN seen for the same tuple.
    pub newer_isn: u32,
    /// Index of the function, or [`crate::route::NO_FUNCTION`].
    pub function: u32,
    /// Interface the client's frames come in by.
    pub ifindex: u32,
    /// What the peer has acknowledged of what the client sent.
    pub acknowledged: u32,
    /// Monotonic clock at the last packet seen.
    pub last_ns: u64,
}

impl Flow {
    pub fn is_over(&self, now_ns: u64, patience: &Patience) -> bool {
        let limit_ns = if self.finished & PEER_FINISHED != 0 {
            patience.answered_ns
        } else if self.finished & CLIENT_FINISHED != 0 || self.finished & CLIENT_HEARD == 0 {
            patience.waiting_ns
        } else {
            patience.open_ns
        };
        now_ns.saturating_sub(self.last_ns) > limit_ns
    }
}

const _: () = assert!(size_of::<FlowKey>() == 20 && size_of::<Flow>() == 48);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::ACK;

    #[test]
    fn targets_come_back_from_the_map_and_anything_else_is_the_proxys() {
        let targets =
            [Target::Local(Listener::Placed), Target::Local(Listener::Proxy), Target::Peer(63), Target::Refused(1)];
        for target in targets {
            assert_eq!(Target::from(StoredTarget::from(target)), target);
        }
        for (kind, detail) in [(0, 0), (1, 2), (u32::MAX, u32::MAX)] {
            assert_eq!(Target::from(StoredTarget { kind, detail }), Target::Local(Listener::Proxy));
        }
    }

    #[test]
    fn only_who_sees_a_connection_ends_it() {
        let s = |flags, sequence| Segment { sequence, flags, ..Segment::NONE };
        for expected in [1000, u32::MAX - 5] {
            let end = |flags, ahead: u32| end_by_client(&s(flags, expected.wrapping_add(ahead)), expected);
            assert_eq!(end(ACK, 0), 0);
            assert_eq!((end(RST, 0), end(RST | ACK, 0)), (FINISHED, FINISHED));
            assert_eq!((end(FIN | ACK, 0), end(FIN | ACK, 1 << 19)), (CLIENT_FINISHED, CLIENT_FINISHED));
            assert_eq!(end(RST, 700), CLIENT_FINISHED, "behind lost packets");
            assert_eq!((end(RST, 1 << 20), end(FIN | ACK, 1 << 20)), (0, 0));
            assert_eq!((end(RST, u32::MAX), end(FIN | ACK, u32::MAX)), (0, 0), "of what was acknowledged before");
        }
        assert_eq!(end_by_peer(&s(FIN | ACK, 1)), PEER_FINISHED);
        assert_eq!(end_by_peer(&s(RST, 1)), FINISHED);
    }

    #[test]
    fn a_silent_connection_is_over_the_sooner_the_less_is_to_come() {
        let patience = Patience { answered_ns: 10, waiting_ns: 20, open_ns: 30 };
        let over =
            |finished, age: u64| Flow { finished, last_ns: 100, ..Flow::default() }.is_over(100 + age, &patience);
        for (finished, limit) in [
            (0, 20),
            (CLIENT_HEARD, 30),
            (CLIENT_FINISHED, 20),
            (CLIENT_FINISHED | CLIENT_HEARD, 20),
            (PEER_FINISHED, 10),
            (PEER_FINISHED | CLIENT_HEARD, 10),
            (FINISHED, 10),
        ] {
            assert!(!over(finished, limit) && over(finished, limit + 1), "{finished}");
        }
        assert!(!Flow { last_ns: 100, ..Flow::default() }.is_over(50, &patience), "a clock that is behind");
    }
}
