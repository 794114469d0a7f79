//! What was found of each thing, and the table that tells it.

use std::fmt::Write as _;

use crate::versions::KERNEL_NIGHTLY;

/// One thing the project needs.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) needed_for: &'static str,
    pub(crate) state: State,
    pub(crate) remedy: Remedy,
    /// Good to have; its absence is told and is no failure.
    pub(crate) optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The version, or where it is.
    Found(String),
    /// Absent or unfit, with the reason.
    Missing(String),
}

/// How a missing thing is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// Sets of packages that serve, best first.
    pub(crate) sets: &'static [&'static [&'static str]],
    /// A package, and the least version of it that serves.
    pub(crate) least: Option<(&'static str, &'static str)>,
    /// Where packages do not help.
    pub(crate) otherwise: Option<Otherwise>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// rustup's compiler.
    Nightly,
    /// Built by cargo.
    BpfLinker,
    /// What a person has to do.
    ByHand(&'static str),
}

impl State {
    pub(crate) fn missing() -> Self {
        Self::Missing("not found".to_owned())
    }
}

impl Remedy {
    pub(crate) const fn packages(sets: &'static [&'static [&'static str]]) -> Self {
        Self { sets, least: None, otherwise: None }
    }

    pub(crate) const fn by_hand(text: &'static str) -> Self {
        Self { sets: &[], least: None, otherwise: Some(Otherwise::ByHand(text)) }
    }

    fn text(self) -> String {
        let sets: Vec<String> = self.sets.iter().map(|set| set.join(" ")).collect();
        let by_apt = (!sets.is_empty()).then(|| format!("apt-get install {}", sets.join(" (or) ")));
        let least =
            self.least.map_or_else(String::new, |(package, least)| format!(" (if {package} is {least} or later)"));
        let otherwise = match self.otherwise {
            None => None,
            Some(Otherwise::Nightly) => Some(format!("rustup toolchain install {KERNEL_NIGHTLY}")),
            Some(Otherwise::BpfLinker) => Some("cargo install, into target/tools".to_owned()),
            Some(Otherwise::ByHand(text)) => Some(format!("by hand: {text}")),
        };
        by_apt.map(|text| text + &least).into_iter().chain(otherwise).collect::<Vec<_>>().join(", else ")
    }
}

impl Otherwise {
    /// What a person may type where we could not do it; nothing for what needs another thing first.
    pub(crate) fn command(self) -> Option<String> {
        match self {
            Self::Nightly => {
                Some(format!("rustup toolchain install {KERNEL_NIGHTLY} --profile minimal --component rust-src"))
            }
            Self::BpfLinker => None,
            Self::ByHand(text) => Some(text.to_owned()),
        }
    }
}

impl Finding {
    pub(crate) fn is_found(&self) -> bool {
        matches!(self.state, State::Found(_))
    }
}

/// What is absent and needed.
pub(crate) fn missing(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| !finding.is_found() && !finding.optional).collect()
}

/// The first that is absent or unfit, and why.
pub(crate) fn unusable(findings: &[Finding]) -> Option<String> {
    findings.iter().find_map(|finding| match &finding.state {
        State::Found(_) => None,
        State::Missing(reason) => Some(format!("{}: {reason}", finding.what)),
    })
}

pub(crate) fn names(findings: &[&Finding]) -> String {
    findings.iter().map(|finding| finding.what.as_str()).collect::<Vec<_>>().join(", ")
}

pub(crate) fn table(findings: &[Finding]) -> String {
    let head = ["what", "found", "needed for", "how it would be installed"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(findings.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1).min(60), width(2)];
    rows.iter().fold(String::new(), |mut text, [what, found, needed_for, remedy]| {
        let [a, b, c] = widths;
        let line = format!("{what:a$}  {found:b$}  {needed_for:c$}  {remedy}");
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

fn row(finding: &Finding) -> [String; 4] {
    let (found, remedy) = match &finding.state {
        State::Found(version) => (version.clone(), String::new()),
        State::Missing(reason) => (format!("MISSING: {reason}"), finding.remedy.text()),
    };
    let found = if finding.optional && !finding.is_found() { found.replacen("MISSING", "absent", 1) } else { found };
    let needed_for = format!("{}{}", finding.needed_for, if finding.optional { " (optional)" } else { "" });
    [finding.what.clone(), found, needed_for, remedy]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(what: &str, state: State, optional: bool) -> Finding {
        let remedy = Remedy::packages(&[&["bpftool"], &["linux-tools-common", "linux-tools-generic"]]);
        Finding { what: what.to_owned(), needed_for: "x", state, remedy, optional }
    }

    #[test]
    fn only_needed_things_count_as_missing() {
        let findings = [
            finding("a", State::Found("1.2".to_owned()), false),
            finding("b", State::missing(), true),
            finding("c", State::missing(), false),
        ];
        assert_eq!(names(&missing(&findings)), "c");
    }

    #[test]
    fn the_first_that_cannot_be_used_is_named_also_where_it_is_optional() {
        let unfit = State::Missing("version 18.20.4, expected 20.0 or later".to_owned());
        let findings = [
            finding("npm", State::Found("9.2.0".to_owned()), true),
            finding("node", unfit, true),
            finding("x", State::missing(), true),
        ];
        assert_eq!(unusable(&findings).unwrap(), "node: version 18.20.4, expected 20.0 or later");
        assert_eq!(unusable(&findings[..1]), None);
    }

    #[test]
    fn the_table_says_how_only_for_what_is_missing() {
        let table = table(&[
            finding("haproxy", State::Found("2.6.12".to_owned()), false),
            finding("bpftool", State::missing(), false),
            finding("tcpdump", State::missing(), true),
        ]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("2.6.12") && !lines[1].contains("apt-get"), "{table}");
        assert!(lines[2].contains("MISSING") && lines[2].contains("bpftool (or) linux-tools-common"), "{table}");
        assert!(lines[3].contains("absent") && lines[3].contains("(optional)"), "{table}");
    }
}
