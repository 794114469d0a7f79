//! Where each value comes from.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::Serialize;

use super::{file, keys::KEYS, setting::Key};

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
    /// `AGENT_*` names in the file and in the environment that mean nothing to us.
    unknown: BTreeMap<String, Origin>,
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
        let mut resolved = Self { values, unknown: BTreeMap::new() };
        resolved.note_unknown(file.keys(), Origin::File);
        resolved
    }

    /// Remembers those of the names that look like settings and are none.
    pub(crate) fn note_unknown<'a>(&mut self, names: impl IntoIterator<Item = &'a String>, origin: Origin) {
        let known = |name: &str| KEYS.iter().any(|key| key.name == name);
        let strange = names.into_iter().filter(|name| name.starts_with("AGENT_") && !known(name));
        self.unknown.extend(strange.map(|name| (name.clone(), origin)));
    }

    /// One sentence for each name that means nothing to us, with the one that may be meant.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let sentence = |(name, origin): (&String, &Origin)| match alike(name) {
            Some(meant) => format!("{name} ({origin}) is no setting; perhaps {meant} is meant"),
            None => format!("{name} ({origin}) is no setting"),
        };
        self.unknown.iter().map(sentence).collect()
    }

    pub(crate) fn text(&self, key: &Key) -> &str {
        self.values.get(key.name).map_or("", |value| value.0.trim())
    }

    pub(crate) fn origin(&self, key: &Key) -> Origin {
        self.values.get(key.name).map_or(Origin::Default, |value| value.1)
    }

    /// Settings whose text differs from that of `other`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static Key> {
        KEYS.iter().filter(|key| self.text(key) != other.text(key)).collect()
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

    /// A settings file: one line a setting, with its origin behind; secrets are masked, and commented out.
    pub(crate) fn print(&self) -> String {
        let mut out = String::new();
        for (key, Shown { name, value, origin }) in KEYS.iter().zip(self.shown()) {
            let _ = if key.secret && !value.is_empty() {
                writeln!(out, "#{name}={value}  # {origin}")
            } else {
                writeln!(out, "{name}={}  # {origin}", file::quoted(&value))
            };
        }
        out
    }
}

/// The setting whose name differs by two letters at most.
fn alike(name: &str) -> Option<&'static str> {
    let distances = KEYS.iter().map(|key| (strsim::osa_distance(name, key.name), key.name));
    distances.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
}

/// One setting, for those who ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::keys;

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file: BTreeMap<_, _> =
            ["AGENT_NODE_IP", "AGENT_LISTEN", "AGENT_MODE"].map(|n| (n.to_owned(), "from file".to_owned())).into();
        let flags = [("AGENT_NODE_IP", "from flag".to_owned())].into();
        let environment = |name: &str| (name != "AGENT_MODE").then(|| "from environment".to_owned());
        let resolved = Resolved::new(&flags, environment, &file);
        let (ip, mode) = (&keys::NODE_IP.key, &keys::MODE.key);
        assert_eq!((resolved.text(ip), resolved.origin(ip)), ("from flag", Origin::Flag));
        assert_eq!(resolved.text(&keys::LISTEN.key), "from environment");
        assert_eq!((resolved.text(mode), resolved.origin(mode)), ("from file", Origin::File));
        let resolved = Resolved::new(&BTreeMap::new(), |_| Some("  ".into()), &BTreeMap::new());
        assert_eq!(resolved.origin(mode), Origin::Default);
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
        assert_eq!((merged.text(&keys::STRATEGY.key), merged.text(&keys::SERVICE_PORT.key)), ("static", "80"));
    }

    #[test]
    fn secrets_are_masked() {
        let file = [("AGENT_OPENFAAS_PASSWORD".to_owned(), "hunter2".to_owned())].into();
        let text = Resolved::new(&BTreeMap::new(), |_| None, &file).print();
        assert!(!text.contains("hunter2") && text.contains("#AGENT_OPENFAAS_PASSWORD=********  # file"));
    }

    #[test]
    fn names_that_mean_nothing_are_found_wherever_they_stand() {
        let file = [("AGENT_TYPO".to_owned(), "1".to_owned()), ("OTHER".to_owned(), "1".to_owned())].into();
        let mut resolved = Resolved::new(&BTreeMap::new(), |_| None, &file);
        resolved
            .note_unknown(&["AGENT_MOED".to_owned(), "AGENT_MODE".to_owned(), "PATH".to_owned()], Origin::Environment);
        let expected =
            ["AGENT_MOED (environment) is no setting; perhaps AGENT_MODE is meant", "AGENT_TYPO (file) is no setting"];
        assert_eq!(resolved.complaints(), expected);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(
            values in proptest::collection::btree_map(0..KEYS.len(), "[ -~äµ…]{0,20}", 0..8),
        ) {
            let file: BTreeMap<_, _> =
                values.iter().map(|(n, value)| (KEYS[*n].name.to_owned(), value.clone())).collect();
            let resolved = Resolved::new(&BTreeMap::new(), |_| None, &file);
            let back = file::parse(&resolved.print()).unwrap();
            let again = Resolved::new(&BTreeMap::new(), |_| None, &back);
            for key in KEYS.iter().filter(|key| !key.secret) {
                prop_assert_eq!(again.text(key), resolved.text(key), "{}", key.name);
            }
        }
    }
}
