//! How this machine reaches Debian's archives: asked of its own apt, so that nothing is named here.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::sources::{Source, parse_deb822, parse_list};
use crate::{project::find_program, step::text_of};

/// Settings that a root needs as the machine has them; the others name files of this machine.
const KEPT: [&str; 6] = [
    "Acquire::Check-",
    "Acquire::ForceIPv",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Max-ValidTime",
    "Acquire::http::No-Cache",
];

/// The sources of all lists, those of /etc/apt/sources.list first.
pub(super) fn sources() -> Vec<Source> {
    let mut files: Vec<PathBuf> =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, "/etc/apt/sources.list".into());
    let parse = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => parse_list(&text),
            Some("sources") => parse_deb822(&text),
            _ => Vec::new(),
        }
    };
    files.into_iter().flat_map(parse).collect()
}

/// Lines for an apt.conf.
pub(super) fn acquire_settings() -> Result<String> {
    let mut command = Command::new(find_program(&["apt-config"]).context("no apt-config on this machine")?);
    command.arg("dump").env("LC_ALL", "C");
    Ok(kept(&text_of(command).context("apt-config dump does not answer")?))
}

fn kept(dump: &str) -> String {
    let lines = dump.lines().filter(|line| KEPT.iter().any(|name| line.starts_with(name)));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// apt's proxies, as the variables that other programs know.
pub(super) fn proxies() -> Vec<(&'static str, String)> {
    let settings = acquire_settings().unwrap_or_default();
    let of = |setting: &str| settings.lines().find_map(|line| value(line, setting));
    let pairs = [("http_proxy", "Acquire::http::Proxy"), ("https_proxy", "Acquire::https::Proxy")];
    pairs.into_iter().filter_map(|(variable, setting)| Some((variable, of(setting)?))).collect()
}

/// `Name "value";`
fn value(line: &str, setting: &str) -> Option<String> {
    let quoted = line.strip_prefix(setting)?.strip_prefix(" \"")?.strip_suffix("\";")?;
    (!quoted.is_empty() && quoted != "DIRECT").then(|| quoted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_how_archives_are_reached_is_kept() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::Check-Valid-Until \"false\";\nDir::Log \"x\";\n\
                    Acquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::cdrom \"\";\n";
        let kept = kept(dump);
        assert_eq!(
            kept,
            "Acquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy \"http://proxy.example:3128\";\n"
        );
        let proxy = kept.lines().find_map(|line| value(line, "Acquire::http::Proxy"));
        assert_eq!(proxy.unwrap(), "http://proxy.example:3128");
    }

    #[test]
    fn no_proxy_is_none() {
        assert_eq!(value("Acquire::http::Proxy \"\";", "Acquire::http::Proxy"), None);
        assert_eq!(value("Acquire::http::Proxy \"DIRECT\";", "Acquire::http::Proxy"), None);
        assert_eq!(value("Acquire::http::Proxy::h \"x\";", "Acquire::http::Proxy"), None);
    }
}
