//! Names that come from outside, validated once: a value of these types is safe to write into HAProxy's
//! configuration, a map key, a metric label or a log line.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be hostile and long: escaped and cut.
        let shown: String = self.value.chars().take(80).collect();
        write!(f, "invalid {} {shown:?}: expected {}", self.what, self.rule)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(s: &str) -> Result<Self, InvalidName> {
                Self::try_from(s.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) { Ok(Self(value)) } else { Err(InvalidName { what: $what, value, rule: $rule }) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name_type!(
    /// A node's name everywhere: the base58 text of its libp2p peer id (`12D3KooW…`).
    NodeId,
    "node id",
    "the base58 text of a libp2p peer id, 32 to 64 letters and digits",
    |s| (32..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric())
);

name_type!(
    /// A function's name: one path segment of at most 63 bytes.
    FunctionName,
    "function name",
    "1 to 63 letters, digits, '-', '_' or '.', starting with a letter or digit",
    |s| (1..=63).contains(&s.len())
        && s.as_bytes()[0].is_ascii_alphanumeric()
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
);

name_type!(
    /// An IP address (IPv6 without brackets) or a DNS name.
    Host,
    "host",
    "an IP address or a DNS name of at most 253 letters, digits, '-' or '.'",
    |s| s.parse::<IpAddr>().is_ok()
        || ((1..=253).contains(&s.len())
            && s.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            }))
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_break_out_of_a_configuration_are_refused() {
        for bad in ["", "a b", "a\nb", "a/b", "-a", "é", "a\"b", &"x".repeat(64)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad:?}");
        }
        for good in ["figlet", "sentiment-analysis", "a.b_c", &"x".repeat(63)] {
            assert!(good.parse::<FunctionName>().is_ok(), "{good:?}");
        }
        for bad in ["", "a b", "host\n", "-a.example", "a..b", "10.0.0.1 bind"] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?}");
        }
        for good in ["10.0.2.38", "::1", "node-1.example.org"] {
            assert!(good.parse::<Host>().is_ok(), "{good:?}");
        }
        assert!("12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf".parse::<NodeId>().is_ok());
        assert!("12D3 KooW".parse::<NodeId>().is_err());
    }

    #[test]
    fn an_error_quotes_the_value_and_the_rule() {
        let text = "a\nb".parse::<FunctionName>().unwrap_err().to_string();
        assert_eq!(
            text,
            r#"invalid function name "a\nb": expected 1 to 63 letters, digits, '-', '_' or '.', starting with a letter or digit"#
        );
    }
}
