//! The program `dfaas-agent`: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::{ffi::OsString, process::ExitCode};

use clap::Command;
use dfaas_base::{
    BadInput, closed_pipe,
    command::{Entry, group, run_below},
};

fn main() -> ExitCode {
    closed_pipe::end_quietly();
    let command = Command::new("dfaas-agent").version(env!("CARGO_PKG_VERSION")).about("A node of a DFaaS federation");
    match run_below(entries(), &group(command, entries()).get_matches_from(arguments())) {
        Ok(code) => code,
        Err(e) if closed_pipe::is_cause(&e) => ExitCode::from(closed_pipe::EXIT_CODE),
        Err(e) => {
            #[allow(clippy::print_stderr, reason = "logging may not have started")]
            {
                eprintln!("error: {e:#}");
            }
            // Input that cannot be used is told apart from work that failed, as clap does for arguments.
            ExitCode::from(if e.is::<BadInput>() { 2 } else { 1 })
        }
    }
}

/// In the order of the help text.
fn entries() -> Vec<Entry> {
    let mut entries = dfaas_agent::cli::node();
    #[cfg(feature = "simulate")]
    entries.push(Entry { command: dfaas_simulate::cli::command(), run: dfaas_simulate::cli::run });
    #[cfg(feature = "load")]
    entries.push(Entry { command: dfaas_load::cli::command(), run: dfaas_load::cli::run });
    entries.extend(dfaas_agent::cli::tools());
    entries
}

fn arguments() -> Vec<OsString> {
    let given = std::env::args_os();
    #[cfg(feature = "load")]
    let given = dfaas_load::cli::with_double_dashes(given);
    given.into_iter().collect()
}
