//! Why a deployment was refused, in words for whoever sent it.

use std::fmt;

use super::{deployment::NAMESPACE, words::BadCommand};
use crate::{name::InvalidName, platform::labels::BadLabel};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadDeployment {
    Name(InvalidName),
    Namespace(String),
    Secrets,
    Variable(String),
    Command(BadCommand),
    NulInCommand,
    NoProgram(String),
    Label(BadLabel),
    Setting { name: &'static str, value: String, expected: &'static str },
}

impl fmt::Display for BadDeployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(e) => e.fmt(f),
            Self::Namespace(name) => write!(f, "namespace {name:?}: expected {NAMESPACE:?} or none"),
            Self::Secrets => f.write_str("secrets are asked for: the embedded runner has none, expected an empty list"),
            Self::Variable(name) => {
                write!(f, "environment variable {name:?}: expected a name without '=' and no NUL bytes")
            }
            Self::Command(e) => write!(f, "envProcess: {e}"),
            Self::NulInCommand => f.write_str("envProcess: a word holds a NUL byte, expected none"),
            Self::NoProgram(word) => {
                write!(f, "envProcess: no program {word:?}: expected a name found in PATH or an absolute path")
            }
            Self::Label(e) => e.fmt(f),
            Self::Setting { name, value, expected } => {
                write!(f, "environment variable {name}={value:?}: expected {expected}")
            }
        }
    }
}

impl std::error::Error for BadDeployment {}

impl From<InvalidName> for BadDeployment {
    fn from(error: InvalidName) -> Self {
        Self::Name(error)
    }
}

impl From<BadCommand> for BadDeployment {
    fn from(error: BadCommand) -> Self {
        Self::Command(error)
    }
}

impl From<BadLabel> for BadDeployment {
    fn from(error: BadLabel) -> Self {
        Self::Label(error)
    }
}
