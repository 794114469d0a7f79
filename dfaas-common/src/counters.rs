//! Counters, per CPU, growing only.

/// Of one function. Connections, which is calls except on kept-alive connections: those are HAProxy's to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FunctionCounters {
    /// First requests of clients.
    pub seen: u64,
    /// Of those: given to this node, admitted.
    pub local: u64,
    /// Given to HAProxy to steer: it counts them too.
    pub to_proxy: u64,
    /// Given to peers, all together.
    pub forwarded: u64,
    /// Refused because everything was at its limit.
    pub refused: u64,
    /// Refused because nothing could serve: no listener here, no peer.
    pub unavailable: u64,
    /// Taken from peers, all together.
    pub received: u64,
    /// Of peers' calls: sent back.
    pub turned_away: u64,
}

/// Of one function and one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PairCounters {
    pub forwarded: u64,
    pub received: u64,
    /// Ours that the peer sent back.
    pub bounced: u64,
    /// Its calls that we sent back.
    pub turned_away: u64,
}

/// Of one verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct VerdictCounter {
    pub packets: u64,
}

/// Place of a pair in its map.
#[inline(always)]
pub fn pair_index(function: u32, peer: u32) -> u32 {
    function.wrapping_mul(crate::peer::MAX_PEERS as u32).wrapping_add(peer)
}
