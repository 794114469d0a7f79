//! What a strategy would do to a federation: simulators that run the strategies of the live agent.
//!
//! * [`replay`]: measured minutes on virtual nodes
//! * [`replayed`]: the rules that only the original's simulator has
//! * [`predict`]: nodes whose state is predicted by trained models from their request rates
//! * [`analyse`]: indices of recorded forwarding tables
//! * [`queue`]: the steady state of a function that scales to zero
//! * [`environment`]: agents that choose in every step where their calls go
//! * [`sample`]: a made-up data set to try it all with
//! * [`graph`]: who is whose neighbour
//! * [`field`], [`json`], [`csv_file`]: what a user gives us, with complaints that name the place
//! * [`output`]: folders of results, whole or not at all

pub mod analyse;
pub mod cli;
pub mod csv_file;
pub mod environment;
pub mod field;
pub mod graph;
pub mod json;
pub mod output;
pub mod predict;
pub mod queue;
pub mod replay;
pub mod replayed;
pub mod sample;
