//! How much the kernel does, and where.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The kernel steers whole connections; HAProxy serves the rest.
    Handoff,
    /// The kernel counts; HAProxy steers.
    Observe,
    /// No kernel programs; HAProxy steers.
    Off,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handoff => "handoff",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Handoff, Self::Observe, Self::Off]
            .into_iter()
            .find(|m| m.name() == s)
            .ok_or_else(|| format!("unknown mode {s:?}: expected auto, handoff, observe or off"))
    }
}

/// Where XDP runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum XdpPlace {
    /// In the driver, before a packet buffer exists.
    Native,
    /// Behind it: works with every driver, and costs more.
    Generic,
}

impl fmt::Display for XdpPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// What the agent may do about the host's firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallPolicy {
    /// Keep a table of our own in place.
    Manage,
    /// Look, and say what is missing.
    Check,
    /// Neither.
    Off,
}

impl FirewallPolicy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manage => "manage",
            Self::Check => "check",
            Self::Off => "off",
        }
    }
}
