//! Reads `rustc -vV` and compares versions; no I/O.

use std::fmt;

/// What matters of a compiler's own description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RustcVersion {
    /// `1.96.0`, `1.97.0-nightly`.
    pub(crate) release: String,
    pub(crate) host: String,
    pub(crate) llvm_major: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VersionError {
    NoField(&'static str),
    BadLlvm(String),
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoField(field) => write!(f, "no line `{field}: ...` in the output of rustc -vV"),
            Self::BadLlvm(text) => {
                write!(f, "LLVM version `{text}` in the output of rustc -vV, expected a number first")
            }
        }
    }
}

impl std::error::Error for VersionError {}

impl RustcVersion {
    pub(crate) fn parse(text: &str) -> Result<Self, VersionError> {
        let llvm = field(text, "LLVM version")?;
        let major = llvm.split('.').next().and_then(|major| major.parse().ok());
        Ok(Self {
            release: field(text, "release")?.to_owned(),
            host: field(text, "host")?.to_owned(),
            llvm_major: major.ok_or_else(|| VersionError::BadLlvm(llvm.to_owned()))?,
        })
    }
}

fn field<'a>(text: &'a str, name: &'static str) -> Result<&'a str, VersionError> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.map(str::trim).filter(|value| !value.is_empty()).ok_or(VersionError::NoField(name))
}

/// The numbers at the start of a version: `1.96.0-nightly` and Debian's `1.96.0+dfsg1-1` give `[1, 96, 0]`.
pub(crate) fn numbers(version: &str) -> Vec<u32> {
    let plain = version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    plain.split('.').map_while(|part| part.parse().ok()).collect()
}

/// True if `version` is at least `least`; a version without numbers never is.
pub(crate) fn is_at_least(version: &str, least: &str) -> bool {
    let found = numbers(version);
    !found.is_empty() && found >= numbers(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHTLY: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                           release: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn the_description_of_a_nightly_is_read() {
        let version = RustcVersion::parse(NIGHTLY).unwrap();
        assert_eq!(version.release, "1.97.0-nightly");
        assert_eq!(version.host, "x86_64-unknown-linux-gnu");
        assert_eq!(version.llvm_major, 22);
    }

    #[test]
    fn a_missing_line_is_named() {
        let text = NIGHTLY.replace("LLVM version", "backend");
        assert_eq!(RustcVersion::parse(&text), Err(VersionError::NoField("LLVM version")));
        assert!(RustcVersion::parse("").unwrap_err().to_string().contains("LLVM version"));
    }

    #[test]
    fn an_llvm_version_without_a_number_is_refused_with_its_text() {
        let error = RustcVersion::parse(&NIGHTLY.replace("22.1.4", "unknown")).unwrap_err();
        assert!(error.to_string().contains("`unknown`"), "{error}");
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(is_at_least("1.96.0", "1.95") && is_at_least("1.95.0", "1.95") && is_at_least("2.6.12", "2.6"));
        assert!(is_at_least("1.97.0-nightly", "1.95") && is_at_least("1.100.0", "1.95"));
        assert!(!is_at_least("1.85.0+dfsg3-1~deb12u3", "1.95") && !is_at_least("1.9.0", "1.95"));
        assert!(!is_at_least("", "1.95") && !is_at_least("unknown", "1.95"));
    }
}
