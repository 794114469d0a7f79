//! The predictive simulator (ecosystem reference, section 4): trained models say what a node uses and whether it is
//! overloaded, so any rate can be simulated, and power with it.
//!
//! * [`instance`]: nodes, neighbours and seven minutes of load, read or [`generate`]d
//! * [`node`]: the models as the state of a node
//! * [`run`]: what a strategy sends where
//! * [`analysis`]: what is served then
//! * [`sweep`]: many loads and seeds in parallel
//! * [`files`], [`charts`]: the results

pub mod analysis;
pub mod charts;
pub mod files;
pub mod generate;
pub mod instance;
pub mod node;
pub mod run;
pub mod sweep;

/// Minutes of an instance.
pub const MINUTES: usize = 7;
