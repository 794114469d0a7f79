//! An output that nobody reads any more (`… | head -1`) ends a program, and is nothing to complain about.

use std::{io, panic, process};

/// What a shell tells of a program that SIGPIPE ended: 128 + 13.
pub const EXIT_CODE: u8 = 141;

/// From here on `println!` into a closed pipe ends the process without a word. For programs that leave nothing behind.
pub fn end_quietly() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(is_closed_pipe) {
            process::exit(i32::from(EXIT_CODE));
        }
        others(panic);
    }));
}

/// The words of the standard library's `println!`.
fn is_closed_pipe(panic: &str) -> bool {
    panic.starts_with("failed printing to std") && panic.contains("Broken pipe")
}

/// True if that is why something failed.
pub fn is_cause(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn only_a_closed_pipe_is_one() {
        let error = io::Error::from_raw_os_error(32);
        assert!(is_closed_pipe(&format!("failed printing to stdout: {error}")));
        assert!(!is_closed_pipe("failed printing to stdout: No space left on device (os error 28)"));
        assert!(is_cause(&anyhow::Error::from(error).context("table")));
        assert!(!is_cause(&Err::<(), _>(io::Error::from_raw_os_error(28)).context("table").unwrap_err()));
    }
}
