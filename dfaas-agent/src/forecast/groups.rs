//! Which functions behave alike: the trained models know three groups of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use serde::Deserialize;

use super::GroupRates;
use crate::name::FunctionName;

/// By resource use, in the order of the models' columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    High,
    Low,
    Medium,
}

impl Group {
    pub const ALL: [Self; 3] = [Self::High, Self::Low, Self::Medium];

    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH_USAGE",
            Self::Low => "LOW_USAGE",
            Self::Medium => "MEDIUM_USAGE",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl GroupRates {
    pub fn of(self, group: Group) -> f64 {
        match group {
            Group::High => self.high,
            Group::Low => self.low,
            Group::Medium => self.medium,
        }
    }

    pub fn add(&mut self, group: Group, rate: f64) {
        match group {
            Group::High => self.high += rate,
            Group::Low => self.low += rate,
            Group::Medium => self.medium += rate,
        }
    }
}

/// The group of each function that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups(BTreeMap<FunctionName, Group>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "HIGH_USAGE")]
    high: Vec<FunctionName>,
    #[serde(rename = "LOW_USAGE")]
    low: Vec<FunctionName>,
    #[serde(rename = "MEDIUM_USAGE")]
    medium: Vec<FunctionName>,
}

impl Groups {
    /// A JSON object with three arrays of names. The error names the file and what is wrong.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
        Self::from_json(&text).map_err(|e| format!("{}: {e}", file.display()))
    }

    pub fn from_json(text: &str) -> Result<Self, String> {
        let Document { high, low, medium } = serde_json::from_str(text).map_err(|e| e.to_string())?;
        // What is listed twice: HIGH wins over MEDIUM over LOW, as in the original.
        let with = |names: Vec<FunctionName>, group| names.into_iter().map(move |name| (name, group));
        Ok(Self(with(low, Group::Low).chain(with(medium, Group::Medium)).chain(with(high, Group::High)).collect()))
    }

    pub fn of(&self, function: &FunctionName) -> Option<Group> {
        self.0.get(function).copied()
    }

    pub fn functions(&self, group: Group) -> BTreeSet<&FunctionName> {
        self.0.iter().filter(|(_, g)| **g == group).map(|(name, _)| name).collect()
    }

    /// Rates summed by group; a function in no group adds nothing.
    pub fn rates<'a>(&self, rates: impl IntoIterator<Item = (&'a FunctionName, f64)>) -> GroupRates {
        let mut sums = GroupRates::default();
        for (function, rate) in rates {
            if let Some(group) = self.of(function) {
                sums.add(group, rate);
            }
        }
        sums
    }
}

impl Default for Groups {
    /// The six functions that the models were trained with.
    fn default() -> Self {
        let known = [
            ("eat-memory", Group::High),
            ("nmap", Group::High),
            ("env", Group::Low),
            ("figlet", Group::Low),
            ("shasum", Group::Low),
            ("curl", Group::Medium),
        ];
        Self(known.into_iter().filter_map(|(name, group)| Some((name.parse().ok()?, group))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> FunctionName {
        name.parse().unwrap()
    }

    #[test]
    fn the_file_is_read_and_high_wins_over_medium_over_low() {
        let groups =
            Groups::from_json(r#"{"HIGH_USAGE":["a"],"MEDIUM_USAGE":["a","b"],"LOW_USAGE":["a","b","c"]}"#).unwrap();
        let of = |function: &str| groups.of(&name(function));
        assert_eq!((of("a"), of("b"), of("c")), (Some(Group::High), Some(Group::Medium), Some(Group::Low)));
        assert_eq!(of("d"), None);
    }

    #[test]
    fn a_wrong_file_is_refused() {
        assert!(Groups::from_json(r#"{"HIGH_USAGE":[],"LOW_USAGE":[]}"#).unwrap_err().contains("MEDIUM_USAGE"));
        let bad = r#"{"HIGH_USAGE":["a b"],"LOW_USAGE":[],"MEDIUM_USAGE":[]}"#;
        assert!(Groups::from_json(bad).unwrap_err().contains("a b"));
        let more = r#"{"HIGH_USAGE":[],"LOW_USAGE":[],"MEDIUM_USAGE":[],"TINY":[]}"#;
        assert!(Groups::from_json(more).unwrap_err().contains("TINY"));
    }

    #[test]
    fn rates_are_summed_by_group() {
        let (env, figlet, other) = (name("env"), name("figlet"), name("other"));
        let rates = Groups::default().rates([(&env, 2.0), (&figlet, 3.0), (&other, 100.0)]);
        assert_eq!(rates, GroupRates { low: 5.0, ..GroupRates::default() });
    }
}
