//! The commands of a node: one file per command. The program puts those of the load player and the simulators beside them.

mod config;
mod detach;
mod forecast;
mod run;
mod settings;
mod status;

pub use self::{config::Config, detach::Detach, forecast::Forecast, forecast::ModelsArg, run::Run, status::Status};
