//! Traffic through nodes as they are in use: agents, HAProxy and functions in namespaces, a client in another one, real
//! connections. Calls go to n1; who answered is told by the header `DFaaS-Node-ID`, by which way they went by the
//! counters of the kernels.
//!
//! As root, with the agent built beside the tests. `DFAAS_LONG_TESTS=1` makes some of them longer.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "traffic/bed.rs"]
mod bed;
#[path = "traffic/bodies.rs"]
mod bodies;
#[path = "traffic/flood.rs"]
mod flood;
#[path = "traffic/limits.rs"]
mod limits;
#[path = "traffic/links.rs"]
mod links;
#[path = "traffic/loss.rs"]
mod loss;
#[path = "traffic/older.rs"]
mod older;
#[path = "traffic/peers.rs"]
mod peers;
#[path = "traffic/pieces.rs"]
mod pieces;
#[path = "traffic/protocol.rs"]
mod protocol;
#[path = "traffic/refusal.rs"]
mod refusal;
#[path = "traffic/reuse.rs"]
mod reuse;
#[path = "traffic/tables.rs"]
mod tables;

/// Longer tests were asked for.
fn long() -> bool {
    std::env::var_os("DFAAS_LONG_TESTS").is_some_and(|value| value != "0")
}
