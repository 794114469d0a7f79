//! What a strategy would do to a federation: simulators that run the strategies of the live agent.
//!
//! * [`replay`]: measured minutes on virtual nodes
//! * [`field`]: JSON of the user, with complaints that name the field
//! * [`graph`]: who is whose neighbour
//! * [`output`]: folders of results, whole or not at all

pub mod field;
pub mod graph;
pub mod output;
pub mod replay;
