//! The commands of a node: one file per command. The program puts those of the load player and the simulators beside them.

mod config;
mod detach;
mod forecast;
mod function;
mod run;
mod settings;
mod status;

pub use self::{
    config::Config, detach::Detach, forecast::Forecast, forecast::ModelsArg, function::Function, run::Run,
    status::Status,
};
