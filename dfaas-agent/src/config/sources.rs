//! Where each value comes from.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::keys::{KEYS, Key};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// The text of every setting. An empty text counts as not given, except from a flag.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    values: BTreeMap<&'static str, (String, Origin)>,
    /// `AGENT_*` names in the file that mean nothing to us.
    pub unknown: Vec<String>,
}

impl Resolved {
    pub(crate) fn new(
        flags: &BTreeMap<&'static str, String>,
        environment: impl Fn(&str) -> Option<String>,
        file: &BTreeMap<String, String>,
    ) -> Self {
        let given = |text: Option<String>| text.filter(|t| !t.trim().is_empty());
        let value = |name: &'static str, default: &str| {
            if let Some(text) = flags.get(name) {
                return (text.clone(), Origin::Flag);
            }
            if let Some(text) = given(environment(name)) {
                return (text, Origin::Environment);
            }
            match given(file.get(name).cloned()) {
                Some(text) => (text, Origin::File),
                None => (default.to_owned(), Origin::Default),
            }
        };
        let values = KEYS.iter().map(|key| (key.name, value(key.name, key.default))).collect();
        let unknown = file.keys().filter(|name| KEYS.iter().all(|key| key.name != name.as_str())).cloned().collect();
        Self { values, unknown }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |value| value.0.trim())
    }

    pub(crate) fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |value| value.1)
    }

    /// Settings whose text differs from that of `other`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static Key> {
        KEYS.iter().filter(|key| self.text(key.name) != other.text(key.name)).collect()
    }

    /// These settings, but those that a running agent can take over as in `fresh`.
    #[must_use]
    pub(crate) fn with_live_of(&self, fresh: &Self) -> Self {
        let mut merged = self.clone();
        for key in KEYS.iter().filter(|key| key.live) {
            if let Some(value) = fresh.values.get(key.name) {
                merged.values.insert(key.name, value.clone());
            }
        }
        merged
    }

    /// Every setting with its text and origin; secrets masked.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let shown = |key: &Key| {
            let (text, origin) = &self.values[key.name];
            let text = if key.secret && !text.is_empty() { "********" } else { text };
            Shown { name: key.name, value: text.to_owned(), origin: *origin }
        };
        KEYS.iter().map(shown).collect()
    }

    /// One line a setting, with its origin; secrets masked.
    pub(crate) fn print(&self) -> String {
        let mut out = String::new();
        for Shown { name, value, origin } in self.shown() {
            let _ = writeln!(out, "{name}={value}  # {origin}");
        }
        out
    }
}

/// One setting, for those who ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub name: &'static str,
    pub value: String,
    pub origin: Origin,
}

/// Reads a dotenv file.
pub(crate) fn read_file(path: &Path) -> Result<BTreeMap<String, String>> {
    let pairs = dotenvy::from_path_iter(path).with_context(|| format!("cannot read {}", path.display()))?;
    pairs.collect::<Result<_, _>>().with_context(|| format!("cannot parse {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file: BTreeMap<_, _> =
            ["AGENT_NODE_IP", "AGENT_LISTEN", "AGENT_MODE"].map(|n| (n.to_owned(), "from file".to_owned())).into();
        let flags = [("AGENT_NODE_IP", "from flag".to_owned())].into();
        let environment = |name: &str| (name != "AGENT_MODE").then(|| "from environment".to_owned());
        let resolved = Resolved::new(&flags, environment, &file);
        assert_eq!((resolved.text("AGENT_NODE_IP"), resolved.origin("AGENT_NODE_IP")), ("from flag", Origin::Flag));
        assert_eq!(resolved.text("AGENT_LISTEN"), "from environment");
        assert_eq!((resolved.text("AGENT_MODE"), resolved.origin("AGENT_MODE")), ("from file", Origin::File));
        let resolved = Resolved::new(&BTreeMap::new(), |_| Some("  ".into()), &BTreeMap::new());
        assert_eq!(resolved.origin("AGENT_MODE"), Origin::Default);
    }

    #[test]
    fn only_live_settings_are_taken_over() {
        let resolved = |strategy: &str, port: &str| {
            let file = [("AGENT_STRATEGY", strategy), ("AGENT_SERVICE_PORT", port)];
            let file = file.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
            Resolved::new(&BTreeMap::new(), |_| None, &file)
        };
        let (old, fresh) = (resolved("recalc", "80"), resolved("static", "81"));
        let names: Vec<_> = fresh.differences(&old).iter().map(|key| key.name).collect();
        assert_eq!(names, ["AGENT_SERVICE_PORT", "AGENT_STRATEGY"]);
        let merged = old.with_live_of(&fresh);
        assert_eq!((merged.text("AGENT_STRATEGY"), merged.text("AGENT_SERVICE_PORT")), ("static", "80"));
    }

    #[test]
    fn secrets_are_masked() {
        let file = [("AGENT_OPENFAAS_PASSWORD".to_owned(), "hunter2".to_owned())].into();
        let text = Resolved::new(&BTreeMap::new(), |_| None, &file).print();
        assert!(!text.contains("hunter2") && text.contains("AGENT_OPENFAAS_PASSWORD=********  # file"));
    }

    #[test]
    fn names_that_mean_nothing_are_found() {
        let file = [("AGENT_TYPO".to_owned(), "1".to_owned())].into();
        assert_eq!(Resolved::new(&BTreeMap::new(), |_| None, &file).unknown, ["AGENT_TYPO"]);
    }
}
