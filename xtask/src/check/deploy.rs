//! The example settings in `deploy/` name only settings that the agent knows.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{project::Project, step::say};

const EXAMPLE: &str = "deploy/systemd/dfaas-agent.env";
const KEYS: &str = "dfaas-agent/src/config/keys.rs";

pub(super) fn check(project: &Project) -> Result<()> {
    say("example settings");
    let read = |file: &str| fs::read_to_string(project.root.join(file)).with_context(|| format!("cannot read {file}"));
    let (example, keys) = (read(EXAMPLE)?, read(KEYS)?);
    let names = settings_in(&example);
    let unknown: Vec<&str> = names.iter().copied().filter(|name| !keys.contains(&format!("\"{name}\""))).collect();
    if !unknown.is_empty() {
        bail!("{EXAMPLE} sets what {KEYS} does not know: {}", unknown.join(", "));
    }
    println!("    {} settings", names.len());
    Ok(())
}

/// Names that are set, or offered behind a single `#`.
fn settings_in(example: &str) -> Vec<&str> {
    let names = example.lines().filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once('='));
    names.map(|(name, _)| name).filter(|name| name.starts_with("AGENT_") && !name.contains(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_also_where_they_are_only_offered() {
        let example = "# About AGENT_A=x.\nAGENT_A=1\n#AGENT_B=/x=y\nOTHER=1\n\n# AGENT_C=no\n";
        assert_eq!(settings_in(example), ["AGENT_A", "AGENT_B"]);
    }

    #[test]
    fn a_setting_the_agent_does_not_know_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        for (file, text) in [(EXAMPLE, "AGENT_A=1\nAGENT_TYPO=2\n"), (KEYS, "key(\"AGENT_A\", \"\")")] {
            let path = project.root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let error = check(&project).unwrap_err().to_string();
        assert!(error.contains("AGENT_TYPO") && !error.contains("AGENT_A,"), "{error}");
    }
}
