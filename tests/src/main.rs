//! The federation emulator: nodes with their agents in network namespaces of this machine.

use std::{
    env,
    os::unix::process::CommandExt as _,
    process::{self, ExitCode},
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use dfaas_base::closed_pipe;
use dfaas_tests::{bench, emulator, machine, matrix, overlay};

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
    /// Try nodes on other kernels and network drivers, as guests under QEMU
    Matrix(matrix::MatrixArgs),
    /// Remove what earlier runs have left
    Clean(emulator::CleanArgs),
}

fn main() -> ExitCode {
    dispatch(Cli::parse().command).unwrap_or_else(|error| {
        // Nobody reads any more: the end has been reached in order, and nobody would read of it.
        if closed_pipe::is_cause(&error) {
            return ExitCode::from(closed_pipe::EXIT_CODE);
        }
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    find_system_programs()?;
    match command {
        Command::Run(args) => emulator::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Overlay(args) => overlay::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Clean(args) => emulator::clean(&args),
    }
}

/// Starts this program once more if PATH lacks the system folders: for all that it starts, the agents included.
fn find_system_programs() -> anyhow::Result<()> {
    let Some(path) = machine::completed_path(&env::var("PATH").unwrap_or_default()) else { return Ok(()) };
    let program = env::current_exe().context("cannot find this program")?;
    let error = process::Command::new(&program).args(env::args_os().skip(1)).env("PATH", path).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
