//! What a strategy would do to a federation: simulators that run the strategies of the live agent.
//!
//! * [`graph`]: who is whose neighbour
//! * [`predict`]: nodes whose state is predicted by trained models from their request rates
//! * [`json`], [`output`]: files read; folders of results, whole or not at all

pub mod graph;
pub mod json;
pub mod output;
pub mod predict;
