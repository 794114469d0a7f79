//! The flow table: one decision per client connection.

use crate::{
    address::{Address, AddressV4},
    packet::Be16,
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

/// What was decided for a connection. Written by XDP only; the agent reads and sweeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// Link-layer address the client's frames come from: where answers go.
    pub mac: [u8; 6],
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
    pub reserved: u32,
    /// Monotonic clock at the last packet seen.
    pub last_ns: u64,
}

const _: () = assert!(size_of::<FlowKey>() == 20 && size_of::<Flow>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

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
}
