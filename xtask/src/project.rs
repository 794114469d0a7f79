//! Where things are: the project's root, its target folders, the tools found on this machine.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// Folders of one checkout.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().with_context(|| format!("{} has no parent folder", manifest.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.target().join("xtask")
    }

    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    pub(crate) fn kernel_object(&self) -> PathBuf {
        self.target().join("bpf/dfaas-ebpf.o")
    }

    /// `path` as a reader in the project's root would type it.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// Cargo as the outer `cargo xtask` runs, working in the root and always with the project's target folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", self.target());
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(set_by_cargo_run) {
                cargo.env_remove(name);
            }
        }
        cargo
    }
}

/// Variables that `cargo run` sets about xtask itself: true of no inner call.
fn set_by_cargo_run(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Cargo's own home: sources of the dependencies.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Where system programs live, and an ordinary user's PATH does not look.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The first of `names` on PATH or in the system folders.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = with_system_folders(&env::var("PATH").unwrap_or_default());
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| is_executable(file)))
}

/// `path` with the system folders that it lacks, behind all others.
pub(crate) fn with_system_folders(path: &str) -> String {
    let mut folders: Vec<&str> = path.split(':').filter(|folder| !folder.is_empty()).collect();
    for system in SYSTEM_FOLDERS.into_iter().chain(["/usr/bin", "/bin"]) {
        if !folders.contains(&system) {
            folders.push(system);
        }
    }
    folders.join(":")
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_says_about_xtask_does_not_reach_inner_calls() {
        assert!(set_by_cargo_run("CARGO_PKG_NAME") && set_by_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(!set_by_cargo_run("CARGO_HOME") && !set_by_cargo_run("CARGO_TERM_COLOR") && !set_by_cargo_run("PATH"));
    }

    #[test]
    fn the_root_is_the_workspace() {
        let project = Project::find().unwrap();
        assert!(project.root.join("Cargo.lock").is_file());
        assert_eq!(project.relative(&project.logs()), Path::new("target/xtask"));
    }

    #[test]
    fn system_folders_come_last_and_once() {
        assert_eq!(with_system_folders("/a:/usr/sbin"), "/a:/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin");
        assert_eq!(with_system_folders(""), "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    }

    #[test]
    fn a_program_is_found_by_its_first_known_name() {
        assert!(find_program(&["no-such-program-here", "sh"]).unwrap().ends_with("sh"));
        assert!(find_program(&["no-such-program-here"]).is_none());
    }
}
