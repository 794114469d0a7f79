//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match dfaas_agent::cli::main() {
        Ok(code) => code,
        Err(e) => {
            #[allow(clippy::print_stderr, reason = "logging may not have started")]
            {
                eprintln!("error: {e:#}");
            }
            // Input that cannot be used is told apart from work that failed, as clap does for arguments.
            ExitCode::from(if e.is::<dfaas_agent::cli::BadInput>() { 2 } else { 1 })
        }
    }
}
