//! The project's commands: set-up, build, run, test, bench and check. One file per command.

#![forbid(unsafe_code)]

mod build;
mod build_ebpf;
mod check;
mod ci;
mod debian_root;
mod fuzz;
mod matrix;
mod project;
mod root;
mod run;
mod setup;
mod step;
mod test;
mod versions;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// The commands of the project
///
/// A fresh machine needs cargo and a C linker (Debian: gcc libc6-dev); `setup` brings the rest, and `run` and `test`
/// begin with it. Every step prints its name and duration; its whole output is in target/xtask/STEP.log.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what this machine lacks, or report it
    ///
    /// Looks for every tool the project needs and installs the missing ones: packages by apt-get (through sudo where
    /// we are not root), the kernel-side compiler from the distribution or by rustup, bpf-linker by cargo into
    /// target/tools. What is there is left alone. The compiler is, in this order: the one named in `DFAAS_EBPF_RUSTC`, a
    /// rustup nightly with rust-src, the distribution's rustc with its library sources. `DFAAS_BPF_LINKER` names a
    /// linker by hand.
    Setup {
        /// Only report: a table of what was found; exit code 1 if something needed is missing
        #[arg(long)]
        no_install: bool,
        /// Only this part; may be given several times
        #[arg(long, value_enum, value_name = "PART")]
        only: Vec<setup::Part>,
    },
    /// Build the kernel programs, the agent and the federation emulator
    ///
    /// The kernel programs go to target/bpf/dfaas-ebpf.o (BTF kept, DWARF stripped), agent and emulator to
    /// target/release.
    Build(build::BuildArgs),
    /// Set up, build, then start an emulated federation (needs root)
    ///
    /// All arguments go to the emulator: `cargo xtask run --nodes 3 --rate-limits 10,20,30`.
    Run(run::PassedArgs),
    /// Set up, build, then run all tests
    ///
    /// First `cargo test` of the crates that need nothing special, then the suites in tests/ as root, one after
    /// another. The last line sums up: `N passed, N failed, N skipped`. Fails if a test failed, a runner died, or a
    /// suite ran no test. Tests marked `#[ignore = "needs the reference data"]` run where that data is present:
    /// `DFAAS_REFERENCE_DATA`, by default ../shared/data/dfaas. The suite tests/interop runs where Node.js and npm are and
    /// npm can fetch what it pins, into target/interop; with the variable CI set it must run.
    Test(test::TestArgs),
    /// Set up, build, then measure (needs root)
    ///
    /// All arguments go to the emulator's bench command: `cargo xtask bench --quick`, `cargo xtask bench forward reject`;
    /// `cargo xtask bench -- --help` shows them all.
    Bench(run::PassedArgs),
    /// Set up, build, then try nodes on other kernels and network drivers, as guests under QEMU (needs root)
    ///
    /// Each cell is a kernel of the distribution and an emulated interface: two nodes boot, a client calls them. Kernels
    /// are unpacked into target/matrix/kernels and kept; consoles and logs of the guests are in target/matrix/logs.
    /// Fails if a call was lost, an answer was wrong, or a node runs in a lesser mode without saying why.
    Matrix(matrix::MatrixArgs),
    /// Try every reader of what others say with made-up inputs
    ///
    /// Coverage-guided, on the stable compiler; what the targets are is in tests/fuzz. New inputs go to
    /// target/fuzz/corpus/TARGET, one that ends in a panic, takes 10 s or 2 GB to target/fuzz/TARGET-*. Such an input stays in
    /// tests/fuzz/corpus, where `cargo test` tries it from then on.
    Fuzz(fuzz::FuzzArgs),
    /// Remove what emulated federations have left (needs root)
    ///
    /// Without a name: what is left of those whose process has died. With `--kept` also all that were left running by
    /// `cargo xtask run --keep`; with names only these. What a living process holds is left alone.
    CleanFederations(run::CleanArgs),
    /// Everything about the text of the code: format, lints, documentation, licences, names
    ///
    /// rustfmt; clippy for the host; clippy (or, where the kernel-side compiler has none, the compiler with -D warnings)
    /// for the kernel programs; rustdoc without warnings; modules against circles and xtask/layers.txt; licences of all dependencies against
    /// xtask/licences.txt, their names and versions against xtask/dependencies.txt; the program with single features; the
    /// example settings in deploy against those the agent knows; no folders or package mirrors of a single machine in
    /// tracked files. All are run, then the failed ones are named.
    Check(check::CheckArgs),
    /// Make a minimal Debian root from packages, in target/roots; the last line printed is its folder (needs root)
    ///
    /// Mirrors, proxies and keyrings are those of this machine's apt. A root that is there is left alone.
    #[command(hide = true)]
    DebianRoot(debian_root::DebianRootArgs),
    /// Run the README's first commands on a machine that nobody prepared (needs root)
    #[command(hide = true)]
    CleanRoom(test::CleanRoomArgs),
}

fn main() -> ExitCode {
    end_at_closed_pipe();
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An output that nobody reads any more (`… | head -1`) ends us without a word, as SIGPIPE ends other programs.
fn end_at_closed_pipe() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
            std::process::exit(141);
        }
        others(panic);
    }));
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    let project = project::Project::find()?;
    match command {
        Command::Setup { no_install, only } => {
            let parts = if only.is_empty() { setup::Part::value_variants() } else { &only };
            setup::run(&project, parts, no_install)
        }
        Command::Build(args) => build::run(&project, args),
        Command::Run(passed) => run::federation(&project, "run", &passed),
        Command::Test(args) => test::run(&project, &args),
        Command::Fuzz(args) => fuzz::run(&project, &args),
        Command::CleanFederations(args) => run::clean(&project, &args),
        Command::Bench(passed) => run::federation(&project, "bench", &passed),
        Command::Matrix(args) => matrix::run(&project, &args),
        Command::Check(args) => check::run(&project, args),
        Command::DebianRoot(args) => debian_root::run(&project, &args),
        Command::CleanRoom(args) => test::enter_clean_room(&project, &args),
    }
}
