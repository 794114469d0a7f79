//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match dfaas_agent::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            #[allow(clippy::print_stderr, reason = "logging may not have started")]
            {
                eprintln!("error: {e:#}");
            }
            ExitCode::FAILURE
        }
    }
}
