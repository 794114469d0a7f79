//! The program `dfaas-agent`: arguments in, exit code out.

#![forbid(unsafe_code)]

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};
use dfaas_agent::cli;
use dfaas_base::{BadInput, closed_pipe};

/// A node of a DFaaS federation
#[derive(Parser)]
#[command(name = "dfaas-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// What runs a node and asks it, then what needs no node that runs.
#[derive(Subcommand)]
enum Command {
    Run(cli::Run),
    Status(cli::Status),
    Function(cli::Function),
    #[cfg(feature = "simulate")]
    Simulate(dfaas_simulate::cli::Simulate),
    #[cfg(feature = "load")]
    Load(dfaas_load::cli::Load),
    Forecast(cli::Forecast),
    Config(cli::Config),
    Detach(cli::Detach),
}

fn main() -> ExitCode {
    // Before anything else: it is between each call and its function, and before HAProxy.
    if std::env::args_os().nth(1).is_some_and(|command| command == "function-init" || command == "server-init") {
        return dfaas_confine::init::main();
    }
    closed_pipe::end_quietly();
    let ended = match Cli::parse_from(arguments()).command {
        Command::Run(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Function(command) => command.run(),
        #[cfg(feature = "simulate")]
        Command::Simulate(command) => command.run(),
        #[cfg(feature = "load")]
        Command::Load(command) => command.run(),
        Command::Forecast(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Detach(command) => command.run(),
    };
    match ended {
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

fn arguments() -> Vec<OsString> {
    let given = std::env::args_os();
    #[cfg(feature = "load")]
    let given = dfaas_load::cli::with_double_dashes(given);
    given.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
