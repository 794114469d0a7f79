//! Reads what Rust's test runner prints: counts, and the ignored tests with their reasons.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    ops::AddAssign,
    path::Path,
};

use anyhow::{Context, Result};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
}

impl Summary {
    pub(super) fn ran(self) -> u64 {
        self.passed + self.failed
    }

    /// `test result: ok. 12 passed; 0 failed; 1 ignored; …`, alone on its line; tests may print similar words.
    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("test result: ")?;
        let counts = rest.strip_prefix("ok. ").or_else(|| rest.strip_prefix("FAILED. "))?;
        let mut parts = counts.split("; ");
        let mut count = |word: &str| parts.next()?.strip_suffix(word)?.trim_end().parse().ok();
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// All that one runner's output told; a runner may be many test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) binaries: Vec<Summary>,
    /// `name: reason`.
    pub(super) ignored: Vec<String>,
}

impl Report {
    pub(super) fn read(log: &Path) -> Result<Self> {
        let file = File::open(log).with_context(|| format!("cannot read the log {}", log.display()))?;
        Self::parse(BufReader::new(file)).with_context(|| format!("cannot read the log {}", log.display()))
    }

    pub(super) fn parse(mut text: impl BufRead) -> io::Result<Self> {
        let mut report = Self::default();
        let mut line = Vec::new();
        while text.read_until(b'\n', &mut line)? > 0 {
            let words = String::from_utf8_lossy(&line);
            let words = words.trim_end();
            report.binaries.extend(Summary::parse(words));
            report.ignored.extend(ignored(words));
            line.clear();
        }
        Ok(report)
    }

    pub(super) fn total(&self) -> Summary {
        let mut total = Summary::default();
        self.binaries.iter().for_each(|summary| total += *summary);
        total
    }
}

/// `test name ... ignored, reason`; documentation examples marked `ignore` end in a bare `ignored`.
fn ignored(line: &str) -> Option<String> {
    let (name, state) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = state.strip_prefix("ignored")?;
    let reason = reason.strip_prefix(", ").filter(|reason| !reason.is_empty()).unwrap_or("no reason given");
    Some(format!("{name}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "     Running unittests src/lib.rs (target/debug/deps/a-1)\n\nrunning 3 tests\n\
        test a ... ok\ntest b ... FAILED\ntest c ... ignored, needs the reference data\n\nfailures:\n\n\
        test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\n\
        \x20  Doc-tests a\n\nrunning 1 test\ntest src/lib.rs - x (line 3) ... ignored\n\n\
        test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    #[test]
    fn the_binaries_of_one_runner_are_summed() {
        let report = Report::parse(OUTPUT.as_bytes()).unwrap();
        assert_eq!(report.binaries.len(), 2);
        assert_eq!(report.total(), Summary { passed: 1, failed: 1, ignored: 2 });
    }

    #[test]
    fn ignored_tests_are_named_with_their_reason() {
        let report = Report::parse(OUTPUT.as_bytes()).unwrap();
        assert_eq!(report.ignored, ["c: needs the reference data", "src/lib.rs - x (line 3): no reason given"]);
    }

    #[test]
    fn words_of_a_test_do_not_count() {
        for line in [
            "x test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "test result: fine. 9 passed; 0 failed; 0 ignored",
            "test result: ok. many passed; 0 failed; 0 ignored",
            "test result: ok. 9 passed",
        ] {
            assert_eq!(Report::parse(line.as_bytes()).unwrap(), Report::default(), "{line}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hide_the_result() {
        let bytes = b"\xff\xfe\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\r\n";
        assert_eq!(Report::parse(&bytes[..]).unwrap().total().passed, 3);
    }
}
