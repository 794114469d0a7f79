//! The federation emulator: nodes with their agents in network namespaces of this machine.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dfaas_tests::{bench, emulator, overlay};

#[derive(Parser)]
#[command(name = "federation", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a federation, show what it does, and remove it at the end
    Run(Box<emulator::RunArgs>),
    /// Measure the kernel path against the proxy of the original, side by side
    Bench(bench::Args),
    /// Measure what many agents in one overlay pay for knowing each other
    Overlay(overlay::OverlayArgs),
    /// Remove what earlier runs have left, also those with --keep
    Clean,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => emulator::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Overlay(args) => overlay::run(&args),
        Command::Clean => emulator::clean(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}
