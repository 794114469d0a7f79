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

impl ProxyError {
    /// The same for the same trouble at every try: HAProxy names its processes, which are others each time.
    pub(crate) fn cause(&self) -> String {
        let text = self.to_string();
        let mut cause = String::with_capacity(text.len());
        for (n, piece) in text.split('(').enumerate() {
            let number = piece.split_once(')').filter(|(digits, _)| digits.bytes().all(|b| b.is_ascii_digit()));
            if n > 0 && number.is_none() {
                cause.push('(');
            }
            cause.push_str(number.map_or(piece, |(_, rest)| rest));
        }
        cause
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

#[cfg(test)]
mod tests {
    use super::*;

    fn not_loaded(message: &str) -> ProxyError {
        ProxyError::NotLoaded { message: message.to_owned() }
    }

    /// What HAProxy 2.6 says, twice.
    #[test]
    fn the_same_trouble_of_another_process_has_the_same_cause() {
        let said = |master, worker| {
            not_loaded(&format!(
                "[ALERT]    ({master}) : Starting frontend fe_service: cannot bind socket (Address already in use) \
                 [0.0.0.0:80]; [ALERT]    ({master}) : Current worker ({worker}) exited with code 1 (Exit)"
            ))
            .cause()
        };
        assert_eq!(said(1234, 1236), said(98765, 98770));
        assert!(said(1, 2).contains("(Address already in use) [0.0.0.0:80]"), "{}", said(1, 2));
    }

    #[test]
    fn another_trouble_has_another_cause() {
        let port = |port| not_loaded(&format!("[ALERT] (7) : cannot bind socket [0.0.0.0:{port}]")).cause();
        assert_ne!(port(80), port(30080));
        assert_ne!(not_loaded("x").cause(), ProxyError::Refused { message: "x".into() }.cause());
    }
}
