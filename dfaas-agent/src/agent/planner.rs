//! Strategies that take their time (a forecaster or a model is asked) work off the agent's loop: it leaves what it knows
//! here, and takes the last plan from here.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{p2p::direct::MarginState, strategy::Plan};

/// The last result.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// Of node margin: what the others are told.
    pub(super) margin: Option<MarginState>,
}

pub(super) struct Planner {
    pub(super) planned: watch::Receiver<Arc<Planned>>,
}
