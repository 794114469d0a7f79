//! Names and sizes of the maps. A map's name is the name of its pin file.

/// Grows when a layout changes its meaning but not its size. A change of size is noticed by itself.
pub const LAYOUT_VERSION: u32 = 3;

/// Connections given to peers: never evicted while they live.
pub const MAX_FORWARDED: usize = 65_536;
/// All other decisions, and finished connections: least recently used go first ([`crate::decided`]).
pub const MAX_DECIDED: usize = 65_536;
/// Addresses of peers: tunnel end, service address and alias of each.
pub const MAX_PEER_ADDRESSES: usize = 4 * crate::peer::MAX_PEERS;
/// Ring buffer, bytes.
pub const EVENTS_BYTES: usize = 65_536;

pub const ANSWERS: &str = "ANSWERS";
pub const BUCKETS: &str = "BUCKETS";
pub const CONTROL: &str = "CONTROL";
pub const DECIDED: &str = "DECIDED";
pub const EVENTS: &str = "EVENTS";
pub const FORWARDED: &str = "FORWARDED";
pub const FUNCTIONS: &str = "FUNCTIONS";
pub const GATES: &str = "GATES";
pub const PAIRS: &str = "PAIRS";
pub const PEERS: &str = "PEERS";
pub const PEER_ADDRESSES: &str = "PEER_ADDRESSES";
pub const ROUTES: &str = "ROUTES";
pub const TAKEN: &str = "TAKEN";
pub const VERDICTS: &str = "VERDICTS";

/// All of them.
pub const ALL: [&str; 14] = [
    ANSWERS,
    BUCKETS,
    CONTROL,
    DECIDED,
    EVENTS,
    FORWARDED,
    FUNCTIONS,
    GATES,
    PAIRS,
    PEERS,
    PEER_ADDRESSES,
    ROUTES,
    TAKEN,
    VERDICTS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow, peer, replay, route};

    /// All maps together stay small enough for a box behind a base station. A hash element costs about 64 bytes more
    /// than its key and value.
    #[test]
    fn the_memory_budget_holds() {
        let flows = (MAX_FORWARDED + MAX_DECIDED) * (size_of::<flow::FlowKey>() + size_of::<flow::Flow>() + 64);
        let tables = route::MAX_FUNCTIONS * (size_of::<route::Route>() + size_of::<route::Buckets>() + 128);
        let peers = peer::MAX_PEERS * (size_of::<peer::Peer>() + 64);
        let taken = replay::SETS * size_of::<replay::Set>();
        assert!(flows + tables + peers + taken < 24 << 20, "{flows} + {tables} + {peers} + {taken} bytes");
    }
}
