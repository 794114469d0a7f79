//! What every part of the agent stands on, and what depends on none of them.
//!
//! * [`BadInput`]: input of the user that cannot be used
//! * [`Reader`]: what reads bytes that others have made
//! * [`duration`]: durations as people and Go write them
//! * [`civil`]: points in time as RFC 3339 writes them
//! * [`whole_file`]: files that are whole or not there
//! * [`closed_pipe`]: outputs that nobody reads any more
//! * [`command`]: the runtime that commands work in

#![forbid(unsafe_code)]

mod bad_input;
pub mod civil;
pub mod closed_pipe;
pub mod command;
pub mod duration;
mod reader;
pub mod whole_file;

pub use bad_input::BadInput;
pub use reader::Reader;
