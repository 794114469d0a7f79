//! Becomes a function; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    dfaas_confine::init::main()
}
