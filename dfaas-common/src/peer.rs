//! What the data path knows of another node.

use crate::{address::AddressV4, packet::Be16, siphash::Key};

/// Peers are numbered by the agent; routing tables name them by this number.
pub const MAX_PEERS: usize = 64;

/// Gets new connections.
pub const UP: u32 = 1;
/// Gets none, but those it has go on.
pub const DRAINING: u32 = 2;
/// Declared dead: its connections are lost, and what it never answered may go elsewhere.
pub const DEAD: u32 = 3;

/// Key and token of one direction of one pair of nodes, drawn by the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Seal {
    /// Keys the tag of FIRST and BOUNCE.
    pub key: Key,
    /// Proves LATER packets.
    pub token: u64,
    /// Named in every packet; 0: this seal is not in use.
    pub epoch: u32,
    pub reserved: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Peer {
    /// What we put on packets to it.
    pub send: Seal,
    /// What it must put on packets to us: the current and the previous epoch's.
    pub receive: [Seal; 2],
    /// Monotonic clock after which what it granted lapses.
    pub expires_ns: u64,
    /// Its end of the tunnel, IPv4.
    pub tunnel: AddressV4,
    /// The address its clients call.
    pub service: AddressV4,
    /// The address on `lo` that stands for its service address here.
    pub alias: AddressV4,
    /// Interface towards it.
    pub ifindex: u32,
    /// Link-layer address of the next hop towards it.
    pub mac: [u8; 6],
    /// Port its clients call.
    pub service_port: Be16,
    /// [`UP`], [`DRAINING`] or [`DEAD`].
    pub state: u32,
    pub reserved2: u32,
}

impl Peer {
    /// May it be given a new connection?
    #[inline(always)]
    pub fn takes_calls(&self, now_ns: u64) -> bool {
        self.state == UP && self.expires_ns > now_ns && self.send.epoch != 0
    }
}

const _: () = assert!(size_of::<Seal>() == 32 && size_of::<Peer>() == 136);
