//! What was found of each thing, and the table that tells it.

use std::fmt::Write as _;

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
pub(crate) enum Remedy {
    /// The first set of packages that the distribution knows.
    Packages(&'static [&'static [&'static str]]),
    Nightly,
    BpfLinker,
    ByHand(&'static str),
}

impl State {
    pub(crate) fn missing() -> Self {
        Self::Missing("not found".to_owned())
    }
}

impl Remedy {
    pub(crate) fn packages(self) -> Option<&'static [&'static [&'static str]]> {
        if let Self::Packages(sets) = self { Some(sets) } else { None }
    }

    fn text(self) -> String {
        match self {
            Self::Packages(sets) => {
                let sets: Vec<String> = sets.iter().map(|set| set.join(" ")).collect();
                format!("apt-get install {}", sets.join(" (or) "))
            }
            Self::Nightly => format!("rustup toolchain install {}", crate::versions::KERNEL_NIGHTLY),
            Self::BpfLinker => "cargo install, into target/tools".to_owned(),
            Self::ByHand(text) => format!("by hand: {text}"),
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
        let remedy = Remedy::Packages(&[&["bpftool"], &["linux-tools-common", "linux-tools-generic"]]);
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
