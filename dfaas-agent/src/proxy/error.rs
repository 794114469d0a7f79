//! Why the proxy could not be started or changed.

use std::{error::Error, fmt, io, path::PathBuf};

use super::runtime_api::CliError;

#[derive(Debug)]
pub enum ProxyError {
    Setting {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// HAProxy's own check refused the text; the message is HAProxy's.
    Refused {
        message: String,
    },
    /// The text was valid, but HAProxy could not run it.
    NotLoaded {
        message: String,
    },
    Cli(CliError),
    /// A value was set, but reading it back gave another one.
    NotTaken {
        what: String,
        expected: String,
        found: String,
    },
    TimedOut {
        doing: &'static str,
        after_s: u64,
    },
}

impl ProxyError {
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, value, expected } => {
                write!(f, "invalid proxy setting {name} {value:?}: expected {expected}")
            }
            Self::Io { doing, path, source } => write!(f, "{doing} {}: {source}", path.display()),
            Self::Refused { message } => write!(f, "haproxy refused the configuration: {message}"),
            Self::NotLoaded { message } => write!(f, "haproxy could not load the configuration: {message}"),
            Self::Cli(source) => write!(f, "{source}"),
            Self::NotTaken { what, expected, found } => {
                write!(f, "haproxy did not take {what}: expected {expected}, found {found}")
            }
            Self::TimedOut { doing, after_s } => write!(f, "{doing} took longer than {after_s} s"),
        }
    }
}

impl Error for ProxyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Cli(source) => source.source(),
            Self::Setting { .. }
            | Self::Refused { .. }
            | Self::NotLoaded { .. }
            | Self::NotTaken { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}

impl From<CliError> for ProxyError {
    fn from(source: CliError) -> Self {
        Self::Cli(source)
    }
}
