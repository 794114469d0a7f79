//! Where cargo put this program and its siblings: asked when it runs, since a checkout may be moved with its target folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A program built with this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    Ok(folder_of(&this).join(name))
}

/// Cargo's target folder.
pub fn target() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    Ok(target_of(&this, &|folder| folder.join("CACHEDIR.TAG").is_file()))
}

/// Test programs lie one folder deeper than the others.
fn folder_of(program: &Path) -> &Path {
    let folder = program.parent().unwrap_or(Path::new("."));
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }
}

/// Cargo marks its folder; a program installed elsewhere has none, and writes where it was started.
fn target_of(program: &Path, is_marked: &dyn Fn(&Path) -> bool) -> PathBuf {
    program.ancestors().skip(1).find(|folder| is_marked(folder)).map_or_else(|| "target".into(), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_siblings_are_one_folder_higher() {
        assert_eq!(folder_of(Path::new("/t/debug/deps/traffic-12")), Path::new("/t/debug"));
        assert_eq!(folder_of(Path::new("/t/debug/federation")), Path::new("/t/debug"));
    }

    #[test]
    fn the_target_folder_is_the_marked_one_whatever_lies_between() {
        let is_marked = |folder: &Path| folder == Path::new("/a b/target");
        for program in ["/a b/target/debug/federation", "/a b/target/x86_64-unknown-linux-gnu/debug/deps/x-1"] {
            assert_eq!(target_of(Path::new(program), &is_marked), Path::new("/a b/target"));
        }
        assert_eq!(target_of(Path::new("/usr/bin/federation"), &is_marked), Path::new("target"));
    }
}
