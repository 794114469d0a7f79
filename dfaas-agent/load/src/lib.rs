//! The load player: requests at planned times, whatever becomes of the earlier ones, and what came of each.

pub mod call;
pub mod charts;
pub mod cli;
pub mod engine;
pub mod health;
pub mod live;
pub mod outputs;
pub mod plan;
pub mod record;
pub mod report;
pub mod scenario;
pub mod summary;
pub mod table;
pub mod target;
pub mod threshold;
pub mod trace;
pub mod units;
pub mod vegeta;

use std::time::Duration;

use self::{plan::Stage, target::Target};

/// Without another word, a request has failed after this time.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(8);

/// Requests of one kind over some time. Several attacks run side by side.
#[derive(Clone, Debug)]
pub struct Attack {
    pub name: String,
    /// After the start of the whole run.
    pub delay: Duration,
    /// Asked in turn.
    pub targets: Vec<Target>,
    pub stages: Vec<Stage>,
    pub arrivals: Arrivals,
    /// From the moment a request is sent.
    pub timeout: Duration,
    /// A connection for every request, instead of as few as possible.
    pub close: bool,
    /// Say the stage in request headers, so that a node can align its measurements.
    pub stage_headers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// At random, independent of each other; the same for the same seed.
    Poisson { seed: u64 },
}
