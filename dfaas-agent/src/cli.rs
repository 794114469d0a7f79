//! The commands of a node: one file per command. The program puts those of the load player and the simulators beside them.

mod config;
mod detach;
mod forecast;
mod run;
mod settings;
mod status;

use dfaas_base::command::Entry;

pub use forecast::models;

/// In the order of the help text: what runs a node, and asks it.
pub fn node() -> Vec<Entry> {
    vec![Entry { command: run::command(), run: run::run }, Entry { command: status::command(), run: status::run }]
}

/// What needs no node that runs.
pub fn tools() -> Vec<Entry> {
    vec![
        Entry { command: forecast::command(), run: forecast::run },
        Entry { command: config::command(), run: config::run },
        Entry { command: detach::command(), run: detach::run },
    ]
}
