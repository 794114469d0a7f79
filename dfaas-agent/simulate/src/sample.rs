//! A small made-up data set with which every command can be tried: nothing in it was measured.

mod measured;
mod predicted;
mod tables;
mod trees;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::replay::{
    generate::{InstanceSpec, generate},
    measured::Measurements,
};

/// Writes the set into an existing folder. The same seed gives the same files.
pub fn write(folder: &Path, seed: u64) -> Result<()> {
    let runs = folder.join("runs");
    measured::write(&runs, seed)?;
    let plan = InstanceSpec { nodes: 8, edge_probability: 0.3, seed };
    let instance = generate(plan, &Measurements::read(&runs)?)?;
    write_json(&folder.join("replay_instance.json"), &instance.to_json())?;
    trees::write(&folder.join("forecaster"))?;
    write_json(&folder.join("predict_instance.json"), &predicted::instance())?;
    write_text(&folder.join("forecast.csv"), &predicted::loads())?;
    write_text(&folder.join("queue.csv"), &tables::queue())?;
    write_text(&folder.join("episode.csv"), &tables::episode(seed)?)?;
    write_json(&folder.join("trace.json"), &tables::trace())?;
    write_text(&folder.join("README.md"), include_str!("sample/README.md"))
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn write_text(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn write_json(file: &Path, value: &serde_json::Value) -> Result<()> {
    write_text(file, &(serde_json::to_string_pretty(value)? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn files(folder: &Path, seed: u64) -> BTreeMap<String, Vec<u8>> {
        write(folder, seed).unwrap();
        let mut open = vec![folder.to_owned()];
        let mut files = BTreeMap::new();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                files.insert(name, fs::read(path).unwrap());
            }
        }
        files
    }

    #[test]
    fn the_same_seed_gives_the_same_files() {
        let [a, b, c] = [(), (), ()].map(|()| tempfile::tempdir().unwrap());
        let first = files(a.path(), 1);
        assert_eq!(first, files(b.path(), 1));
        assert_ne!(first["replay_instance.json"], files(c.path(), 2)["replay_instance.json"]);
    }
}
