//! The flow table: one decision per client connection.

use crate::{address::Address, packet::Be16};

/// A client's end of a connection to the service address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    pub address: Address,
    pub port: Be16,
    pub reserved: u16,
}

impl FlowKey {
    /// From an IPv4 address and a port as on the wire.
    #[inline(always)]
    pub fn v4(address: u32, port: u16) -> Self {
        Self { address: Address::v4(address), port: Be16::from_raw(port), reserved: 0 }
    }

    /// Its bytes, for comparing and hashing word by word.
    #[inline(always)]
    pub fn words(&self) -> [u32; 5] {
        // SAFETY: twenty bytes without padding, aligned to words.
        unsafe { core::mem::transmute_copy(self) }
    }
}

/// Served by this node: `detail` tells the listener, [`TO_PLACED`] or [`TO_PROXY`].
pub const LOCAL: u32 = 1;
/// Handed to a peer.
pub const PEER: u32 = 2;
/// Answered by the kernel itself: `detail` is the index of the answer.
pub const REFUSED: u32 = 3;

/// The listener for calls that the kernel has admitted.
pub const TO_PLACED: u32 = 0;
/// The service address itself: HAProxy steers the call.
pub const TO_PROXY: u32 = 1;

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
    /// [`LOCAL`], [`PEER`] or [`REFUSED`].
    pub target: u32,
    /// Of a peer: its index. Of a refusal: the index of the answer. Of this node: the listener.
    pub detail: u32,
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
