//! Map types for aya.

use crate::{address, cookie, counters, decided, event, flow, http, peer, route, settings};

macro_rules! pod {
    ($($t:ty),* $(,)?) => {$(
        // SAFETY: `repr(C)` integers and arrays of them without padding (reserved fields fill the gaps), so every bit
        // pattern is valid and no byte is uninitialised.
        unsafe impl aya::Pod for $t {}
    )*};
}

pod!(
    address::Address,
    cookie::Secret,
    counters::FunctionCounters,
    counters::PairCounters,
    counters::VerdictCounter,
    decided::Set,
    event::Event,
    flow::Flow,
    flow::FlowKey,
    http::Name,
    peer::Peer,
    route::Buckets,
    route::Route,
    settings::Answer,
    settings::Control,
    settings::Settings,
);
