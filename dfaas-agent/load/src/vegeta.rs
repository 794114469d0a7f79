//! The JSON of vegeta: what it reads and what it writes, so that either program can take the other's place.

mod results;
mod targets;

pub use self::{
    results::{read_result, read_results, write_result},
    targets::read_targets,
};
