//! Reads apt's lists of sources (sources.list(5)), in both forms, and says what a root of one suite is to use. No I/O.

use anyhow::{Context, Result};

/// One suite of one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) suite: String,
    pub(super) components: Vec<String>,
    /// The file that its signatures are checked against.
    pub(super) keyring: Option<String>,
}

/// What Debian itself calls the archives beside a suite.
const BESIDE: [&str; 2] = ["-updates", "-security"];
/// The suites whose archive has every other one too.
const SUITES: [&str; 7] = ["bullseye", "bookworm", "trixie", "forky", "stable", "testing", "sid"];

impl Source {
    /// In the one-line form. Without the keyring: that of the new root is where apt looks by itself.
    pub(super) fn line(&self) -> String {
        format!("deb {} {} {}", self.uri, self.suite, self.components.join(" "))
    }

    /// The Debian suite, and what follows it (`-security`).
    fn parts(&self) -> Option<(&'static str, &str)> {
        let suite = SUITES.into_iter().find(|suite| self.suite.starts_with(suite))?;
        let rest = &self.suite[suite.len()..];
        (rest.is_empty() || BESIDE.contains(&rest)).then_some((suite, rest))
    }
}

/// The archive of `suite`, then those beside it, by the mirrors that `known` names for the machine's own suite.
pub(super) fn for_suite(known: &[Source], suite: &str) -> Result<Vec<Source>> {
    let of = |wanted: &str| {
        let mut fit = known.iter().filter(|source| source.components.iter().any(|component| component == "main"));
        fit.find(|source| source.uri.starts_with("http") && source.parts().is_some_and(|(_, rest)| rest == wanted)).map(
            |source| Source {
                suite: format!("{suite}{wanted}"),
                components: vec!["main".to_owned()],
                ..source.clone()
            },
        )
    };
    let main = of("").context(
        "no mirror of Debian's archive in /etc/apt/sources.list or /etc/apt/sources.list.d: add one, such as \
         `deb https://MIRROR/debian bookworm main`",
    )?;
    Ok(std::iter::once(main).chain(BESIDE.into_iter().filter_map(of)).collect())
}

/// `deb [signed-by=FILE] URI SUITE COMPONENT…`, one a line.
pub(super) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix(|c: char| c.is_whitespace())?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Source { uri, suite, components: words.collect(), keyring: file(keyring) })
}

/// The form of deb822(5): stanzas of fields, a stanza for several suites and archives.
pub(super) fn parse_deb822(text: &str) -> Vec<Source> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).flat_map(parse_stanza).collect()
}

fn parse_stanza(lines: &[&str]) -> Vec<Source> {
    let field = |name: &str| {
        let is_name = |line: &&str| {
            line.split_once(':').is_some_and(|(key, _)| !line.starts_with(' ') && key.eq_ignore_ascii_case(name))
        };
        let at = lines.iter().position(is_name)?;
        let more = lines[at + 1..].iter().take_while(|line| line.starts_with([' ', '\t']));
        Some(more.fold(lines[at].split_once(':')?.1.to_owned(), |text, line| text + " " + line))
    };
    let words =
        |name: &str| -> Vec<String> { field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect() };
    if !words("Types").contains(&"deb".to_owned()) || words("Enabled").contains(&"no".to_owned()) {
        return Vec::new();
    }
    let (uris, suites, components) = (words("URIs"), words("Suites"), words("Components"));
    let keyring = file(field("Signed-By").as_deref().map(str::trim));
    let pairs = uris.iter().flat_map(|uri| suites.iter().map(move |suite| (uri.clone(), suite.clone())));
    pairs.map(|(uri, suite)| Source { uri, suite, components: components.clone(), keyring: keyring.clone() }).collect()
}

/// Signed-By may hold a fingerprint or the key itself, too.
fn file(keyring: Option<&str>) -> Option<String> {
    keyring.filter(|keyring| keyring.starts_with('/') && !keyring.contains([' ', ','])).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "Types: deb\n# a comment\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\n\
        Components: main\n contrib\nSigned-By: /k/debian.gpg\n\nTypes: deb deb-src\nURIs: http://m.example/security\n\
        Suites: bookworm-security\nComponents: main\n\nEnabled: no\nTypes: deb\nURIs: http://x\nSuites: trixie\n\
        Components: main\n";

    fn lines(sources: &[Source]) -> Vec<String> {
        sources.iter().map(Source::line).collect()
    }

    #[test]
    fn a_stanza_stands_for_each_of_its_suites() {
        let sources = parse_deb822(STANZAS);
        assert_eq!(
            lines(&sources),
            [
                "deb http://m.example/debian bookworm main contrib",
                "deb http://m.example/debian bookworm-updates main contrib",
                "deb http://m.example/security bookworm-security main",
            ]
        );
        assert_eq!(sources[0].keyring.as_deref(), Some("/k/debian.gpg"));
        assert_eq!(sources[2].keyring, None);
    }

    #[test]
    fn options_comments_and_sources_are_told_apart_in_the_one_line_form() {
        let sources = parse_list(
            "# deb http://no x main\ndeb [arch=amd64 signed-by=/k/d.gpg] http://m.example/debian bookworm main # x\n\
             deb-src http://m.example/debian bookworm main\ndeb\t http://m.example/debian sid main contrib\n",
        );
        assert_eq!(
            lines(&sources),
            ["deb http://m.example/debian bookworm main", "deb http://m.example/debian sid main contrib"]
        );
        assert_eq!(sources[0].keyring.as_deref(), Some("/k/d.gpg"));
    }

    #[test]
    fn another_suite_comes_from_the_machines_own_mirrors() {
        let trixie = for_suite(&parse_deb822(STANZAS), "trixie").unwrap();
        assert_eq!(
            lines(&trixie),
            [
                "deb http://m.example/debian trixie main",
                "deb http://m.example/debian trixie-updates main",
                "deb http://m.example/security trixie-security main",
            ]
        );
    }

    #[test]
    fn archives_of_others_are_no_mirror_of_debian() {
        let others = parse_list(
            "deb https://m.example/apt cloud-sdk-bookworm main\ndeb https://m.example/docker bookworm stable\n\
             deb https://m.example/pg bookworm-pgdg main\ndeb http://archive.example/ubuntu noble main\n",
        );
        assert!(for_suite(&others, "bookworm").unwrap_err().to_string().contains("sources.list"));
    }
}
