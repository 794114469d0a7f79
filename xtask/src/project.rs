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
    /// Cargo's, wherever it was told to put it.
    target: PathBuf,
}

impl Project {
    /// The checkout that this command was called in. Not the one it was compiled in: that may have been moved or copied
    /// with its target folder, and cargo sees no reason to compile anew.
    pub(crate) fn find() -> Result<Self> {
        let told = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = env::current_dir().context("no current folder")?;
        let program = env::current_exe().context("cannot find this program")?;
        let root = root_of(told.as_deref(), &here).with_context(|| {
            format!("{} is in no checkout of this project: call `cargo xtask` in one", here.display())
        })?;
        let target = target_of(&program).unwrap_or_else(|| root.join("target"));
        Ok(Self { root, target })
    }

    #[cfg(test)]
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { target: root.join("target"), root }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.target.clone()
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

/// `told` is the folder of the package that cargo runs: ours, or that of somebody who called us.
fn root_of(told: Option<&Path>, here: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join("Cargo.lock").is_file() && folder.join("xtask/Cargo.toml").is_file();
    let found = told.into_iter().chain([here]).find_map(|start| start.ancestors().find(is_root));
    found.map(Path::to_path_buf)
}

/// The folder that cargo has marked as its own, and this program is in.
fn target_of(program: &Path) -> Option<PathBuf> {
    program.ancestors().skip(1).find(|folder| folder.join("CACHEDIR.TAG").is_file()).map(Path::to_path_buf)
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
    use std::fs;

    use super::*;

    #[test]
    fn what_cargo_run_says_about_xtask_does_not_reach_inner_calls() {
        assert!(set_by_cargo_run("CARGO_PKG_NAME") && set_by_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(!set_by_cargo_run("CARGO_HOME") && !set_by_cargo_run("CARGO_TERM_COLOR") && !set_by_cargo_run("PATH"));
    }

    #[test]
    fn the_root_is_the_workspace() {
        assert!(Project::find().unwrap().root.join("Cargo.lock").is_file());
        let project = Project::at("/a");
        assert_eq!(project.relative(&project.logs()), Path::new("target/xtask"));
    }

    #[test]
    fn a_copied_checkout_works_on_its_own_path() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("a copy");
        let program = copy.join("target/debug/xtask");
        for file in ["Cargo.lock", "xtask/Cargo.toml", "target/CACHEDIR.TAG", "docs/x.md", "target/debug/xtask"] {
            fs::create_dir_all(copy.join(file).parent().unwrap()).unwrap();
            fs::write(copy.join(file), "").unwrap();
        }
        assert_eq!(root_of(Some(&copy.join("xtask")), Path::new("/")).unwrap(), copy);
        assert_eq!(root_of(None, &copy.join("docs")).unwrap(), copy);
        assert_eq!(root_of(Some(Path::new("/no/such")), folder.path()), None);
        assert_eq!(target_of(&program).unwrap(), copy.join("target"));
    }

    /// `env!` holds what was true where a program was compiled; cargo keeps the program when its folder is moved.
    #[test]
    fn no_program_remembers_the_folder_it_was_compiled_in() {
        let root = Project::find().unwrap().root;
        let mut folders = ["xtask", "tests", "dfaas-agent", "dfaas-common"].map(|name| root.join(name)).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("node_modules") {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    for name in ["MANIFEST_DIR", "BIN_EXE_", "TARGET_TMPDIR"] {
                        let at_compile_time = format!("env!(\"CARGO_{name}");
                        assert!(!text.contains(&at_compile_time), "{at_compile_time} in {}", path.display());
                    }
                }
            }
        }
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
