//! Tracked files must be true on every machine: no folder of this one, no package mirror that only it uses.

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    project::{Project, cargo_home},
    step::say,
};

/// A host that everybody may name; the lock file names it in every entry.
const PUBLIC_HOST: &str = "github.com";
const PUBLIC_INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";
const LOCK: &str = "Cargo.lock";

pub(super) fn check(project: &Project) -> Result<()> {
    say("names of single machines");
    let Some(files) = tracked_files(project)? else {
        println!("    not a git checkout: nothing is tracked, nothing looked at");
        return Ok(());
    };
    let forbidden = Forbidden { folders: folders(project), hosts: mirror_hosts() };
    let mut offences = Vec::new();
    for file in &files {
        // A deleted file may still be tracked; what is no text has no lines to complain about.
        let Ok(text) = fs::read_to_string(project.root.join(file)) else { continue };
        offences.extend(forbidden.offences(file, &text));
    }
    if !offences.is_empty() {
        bail!("names that hold on one machine only:\n  {}", offences.join("\n  "));
    }
    println!("    {} tracked files", files.len());
    Ok(())
}

fn tracked_files(project: &Project) -> Result<Option<Vec<String>>> {
    if !project.root.join(".git").exists() {
        return Ok(None);
    }
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "ls-files", "-z"]).current_dir(&project.root).stdin(Stdio::null());
    let output = git.output().context("cannot start git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(Some(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()))
}

struct Forbidden {
    folders: BTreeSet<String>,
    hosts: BTreeSet<String>,
}

impl Forbidden {
    fn offences(&self, file: &str, text: &str) -> Vec<String> {
        let foreign_index = |line: &str| file == LOCK && line.starts_with("source = ") && !line.contains(PUBLIC_INDEX);
        let mut offences = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let named = self.folders.iter().find(|folder| names_folder(line, folder));
            let named = named.or_else(|| self.hosts.iter().find(|host| line.contains(host.as_str())));
            if let Some(name) = named {
                offences.push(format!("{file}:{}: `{name}`", number + 1));
            } else if foreign_index(line) {
                offences.push(format!("{file}:{}: {line}, expected {PUBLIC_INDEX}", number + 1));
            }
        }
        offences
    }
}

/// True if `line` holds a path inside `folder`: not as the middle of a longer path, not as part of a word.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let inside_word = |c: char| c.is_alphanumeric() || "/._-}".contains(c);
        !before.is_some_and(inside_word) && after == Some('/')
    })
}

/// Home folders of anybody, and where this checkout and its toolchains lie.
fn folders(project: &Project) -> BTreeSet<String> {
    let around = project.root.parent().filter(|parent| parent.components().count() > 1);
    let here = [Some(project.root.as_path()), around];
    let homes = [cargo_home(), env::var_os("RUSTUP_HOME").map(Into::into), env::home_dir()];
    let found = here.into_iter().flatten().chain(homes.iter().flatten().map(AsRef::as_ref));
    let found = found.filter(|path| !is_common(path)).filter_map(Path::to_str).map(str::to_owned);
    found.chain(["home", "Users"].map(|name| format!("/{name}"))).collect()
}

/// Folders of every Linux; a checkout directly below one of them does not make its name a secret.
fn is_common(path: &Path) -> bool {
    ["/", "/tmp", "/opt", "/srv", "/src", "/usr", "/var", "/usr/local", "/usr/src", "/var/tmp", "/mnt"]
        .iter()
        .any(|common| path == Path::new(common))
}

/// Hosts of the mirrors and proxies that this machine's settings name, but the world does not know.
fn mirror_hosts() -> BTreeSet<String> {
    let settings = cargo_home().and_then(|home| fs::read_to_string(home.join("config.toml")).ok()).unwrap_or_default();
    let is_setting = |name: &str| {
        ["CARGO_REGISTR", "CARGO_SOURCE_", "NPM_CONFIG_", "GOPROXY", "RUSTUP_DIST", "RUSTUP_UPDATE"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            || name.ends_with("_INDEX_URL")
            || name.to_ascii_lowercase().ends_with("_proxy")
    };
    let variables = env::vars().filter(|(name, _)| is_setting(name)).map(|(_, value)| value);
    std::iter::once(settings).chain(variables).flat_map(|text| hosts_in(&text)).collect()
}

fn hosts_in(text: &str) -> Vec<String> {
    let hosts = text.split("://").skip(1).map(|rest| {
        let authority = rest.split(|c: char| "/\"' \n,".contains(c)).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.split(':').next().unwrap_or_default().to_owned()
    });
    let local = |host: &str| host == "localhost" || host.starts_with("127.");
    // A name without a point may be any word.
    hosts.filter(|host| host.contains('.') && host != PUBLIC_HOST && !local(host)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden() -> Forbidden {
        Forbidden {
            folders: ["/builds/me".to_owned(), format!("/{}", "home")].into(),
            hosts: ["mirror.example.org".to_owned()].into(),
        }
    }

    #[test]
    fn a_folder_of_this_machine_is_told_with_file_and_line() {
        let offences = forbidden().offences("docs/x.md", "fine\nsee /builds/me/dfaas/target\n");
        assert_eq!(offences, ["docs/x.md:2: `/builds/me`"]);
    }

    #[test]
    fn longer_paths_and_words_that_only_contain_the_folder_are_fine() {
        for line in ["/var/builds/me/x", "/builds/menu/x", "x/builds/me/y", "/builds/me", "${root}/builds/me/x"] {
            assert!(forbidden().offences("a", line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_private_mirror_and_a_foreign_index_are_told() {
        assert_eq!(forbidden().offences("a", "index = \"https://mirror.example.org/x\"").len(), 1);
        assert_eq!(forbidden().offences(LOCK, "source = \"registry+https://else.where/index\"").len(), 1);
        assert!(forbidden().offences(LOCK, &format!("source = \"{PUBLIC_INDEX}\"")).is_empty());
    }

    #[test]
    fn mirrors_are_read_from_settings_and_the_public_host_is_not_private() {
        let settings =
            "registry = \"sparse+https://user:pw@mirror.example.org:8443/index/\"\nx = 'https://github.com/x'";
        assert_eq!(hosts_in(settings), ["mirror.example.org"]);
        assert!(hosts_in("http://localhost:3128 http://127.0.0.1:1 http://proxy:3128").is_empty());
    }
}
