//! Clients that live in a namespace: single calls, bytes sent piece by piece, and a load.

mod echo;
mod http;
mod latency;
mod load;
mod raw;
mod tally;

pub use self::{
    echo::{Echo, Echoed},
    http::{Answer, Call},
    latency::Latency,
    load::{Connections, Load, Running},
    raw::{Piece, exchange},
    tally::{Failure, Outcome, Second, Tally},
};

/// Header that names the node which ran the function.
pub const NODE_HEADER: &str = "dfaas-node-id";
