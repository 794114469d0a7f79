//! Names that the configuration and the readers of HAProxy's tables share.

use crate::name::FunctionName;

/// Limit written for "no limit": above any rate.
pub(super) const NO_LIMIT: i64 = 2_147_483_647;
/// Limit written for a function this node does not run: below any rate.
pub(super) const NOT_DEPLOYED: i64 = -1;
/// Client calls of a function cycle through this many slots, so shares are exact over as many calls.
pub(super) const SLOTS: u64 = 10_000;
/// Coprime to [`SLOTS`] and near their golden section: any few consecutive calls are spread evenly too.
pub(super) const SLOT_STEP: u64 = 6_181;
/// Row for refusals of requests that name no function; no function name starts like this.
pub(super) const NO_FUNCTION: &str = "_";
/// Servers that only carry the health checks of the peers.
pub(super) const CHECKS: &str = "checks";
/// The backend, and its server, that carries the health check of this node's gateway.
pub(super) const GATEWAY: &str = "gateway";

/// Position of each count in the rows of `st_calls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Count {
    Slot,
    PlacedFirst,
    PlacedKept,
    Service,
    FromPeer,
    HandedOff,
    ServedLocal,
    RefusedSaturated,
    RefusedGrant,
    Forbidden,
    Unknown,
    Sent,
    ServedWell,
    SentWell,
}

impl Count {
    pub(super) const LEN: usize = 14;

    pub(super) fn index(self) -> u8 {
        self as u8
    }
}

/// Backend that runs a function here. The colon keeps it apart from every other name.
pub(super) fn local_backend(function: &FunctionName) -> String {
    format!("local:{function}")
}

/// Backend whose servers are the peers, named by node id.
pub(super) fn peers_backend(function: &FunctionName) -> String {
    format!("peers:{function}")
}
