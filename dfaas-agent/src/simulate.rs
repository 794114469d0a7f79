//! What a strategy would do to a federation: simulators that run the strategies of the live agent.
//!
//! * [`graph`]: who is whose neighbour
//! * [`output`]: folders of results, whole or not at all

pub mod graph;
pub mod output;
