//! The commands that the README tells a stranger to type first.

use anyhow::{Context, Result};

const HEADING: &str = "## Try it";

/// The two commands of the first block below the heading, without their comments.
pub(super) fn first_commands(readme: &str) -> Result<[String; 2]> {
    let (_, below) = readme.split_once(HEADING).with_context(|| format!("README.md has no heading `{HEADING}`"))?;
    let block = below.split_once("```sh\n").and_then(|(_, rest)| rest.split_once("```"));
    let (block, _) = block.with_context(|| format!("README.md has no block of commands below `{HEADING}`"))?;
    let commands: Vec<String> = block.lines().map(without_comment).filter(|line| !line.is_empty()).collect();
    commands.try_into().map_err(|found: Vec<String>| {
        anyhow::anyhow!("README.md has {} commands below `{HEADING}`, expected 2: {found:?}", found.len())
    })
}

fn without_comment(line: &str) -> String {
    line.split(" #").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    #[test]
    fn the_readme_has_two_first_commands() {
        let readme = std::fs::read_to_string(Project::find().unwrap().root.join("README.md")).unwrap();
        assert_eq!(first_commands(&readme).unwrap(), ["cargo xtask run", "cargo xtask test"]);
    }

    #[test]
    fn another_number_of_commands_is_told() {
        let error = first_commands("## Try it\n```sh\na # b\n```\n").unwrap_err().to_string();
        assert!(error.contains("1 commands") && error.contains(r#"["a"]"#), "{error}");
    }
}
