//! What the kernel programs and the agent share. Both sides obey these layouts and this arithmetic; nothing here
//! allocates, does I/O or reads a clock, so all of it is tested on the host. In reading order:
//!
//! * [`packet`], [`checksum`], [`options`], [`http`]: what a packet says
//! * [`siphash`], [`cookie`], [`tunnel`]: what a packet proves
//! * [`address`], [`flow`], [`decided`], [`peer`], [`route`], [`limit`]: map keys and values, and how a target is chosen
//! * [`hint`]: what XDP tells TC; [`reuse`]: whether a client port has a new connection
//! * [`verdict`], [`counters`], [`event`]: what is reported
//! * [`settings`], [`maps`]: what the loader fills in, and what the maps are called
#![cfg_attr(not(any(test, feature = "user")), no_std)]

pub mod address;
pub mod checksum;
pub mod cookie;
pub mod counters;
pub mod decided;
pub mod event;
pub mod flow;
pub mod hint;
pub mod http;
pub mod limit;
pub mod maps;
pub mod options;
pub mod packet;
pub mod peer;
#[cfg(feature = "user")]
mod pod;
pub mod replay;
pub mod reuse;
pub mod route;
pub mod settings;
pub mod siphash;
pub mod tunnel;
pub mod verdict;
