//! The foreign peer of the suite `tests/interop`: its packages, as its lock file pins them, into `target/interop`.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    project::{Project, find_program},
    setup,
    step::{Step, say},
};

pub(super) const SUITE: &str = "tests/interop";
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// A copy of the lock file whose packages are all there; npm removes it with them.
const INSTALLED: &str = "node_modules/.installed.json";
const LIMIT: Duration = Duration::from_mins(5);

/// Does nothing if that was done before for the same lock file.
pub(super) fn install(project: &Project) -> Result<()> {
    // Also where its packages are there: what has installed them may be gone.
    if let Some(reason) = setup::unusable(&["node", "npm"]) {
        bail!("{reason}");
    }
    let (source, target) = (project.root.join(SUITE), project.target().join("interop"));
    let lock = read(&source.join(FILES[1]))?;
    if fs::read(target.join(INSTALLED)).is_ok_and(|installed| installed == lock) {
        say("foreign peer: installed already");
        return Ok(());
    }
    let npm = find_program(&["npm"]).context("no npm on this machine")?;
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    for file in FILES {
        write(&target.join(file), &read(&source.join(file))?)?;
    }
    let mut command = Command::new(npm);
    command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]).current_dir(&target);
    Step::new("foreign peer (npm ci)", command, LIMIT).run(project)?;
    write(&target.join(INSTALLED), &lock)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_with_its_checksum() {
        let folder = Project::find().unwrap().root.join(SUITE);
        let json =
            |file: &str| serde_json::from_slice::<serde_json::Value>(&read(&folder.join(file)).unwrap()).unwrap();
        let exact = |version: &str| version.split('.').all(|part| part.chars().all(|c| c.is_ascii_digit()));
        for (name, version) in json(FILES[0])["dependencies"].as_object().unwrap() {
            assert!(exact(version.as_str().unwrap()), "{name}: {version} is no exact version");
        }
        let lock = json(FILES[1]);
        let packages = lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty());
        let unpinned: Vec<_> = packages.filter(|(_, package)| !package["integrity"].is_string()).collect();
        assert!(unpinned.is_empty(), "{unpinned:?}");
    }
}
