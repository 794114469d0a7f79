//! Kernels that `cargo xtask matrix` has unpacked: `FOLDER/RELEASE/{vmlinuz,modules}`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` says it, such as `6.1.0-57-amd64`.
    pub release: String,
    folder: PathBuf,
}

impl Kernel {
    /// The newest in the folder that is, or begins with, `wanted`: a release or a version such as `6.12`.
    pub fn find(folder: &Path, wanted: &str) -> Result<Self> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let releases: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let Some(release) = newest(&releases, wanted) else {
            bail!(
                "no kernel {wanted} in {}: `cargo xtask matrix --fetch --kernel {wanted}` brings it",
                folder.display()
            )
        };
        Ok(Self { release: release.to_owned(), folder: folder.join(release) })
    }

    /// What a boot loader would load.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// What it has as `/lib/modules/RELEASE` when it runs.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("modules")
    }
}

fn newest<'a>(releases: &'a [String], wanted: &str) -> Option<&'a str> {
    let exact = releases.iter().find(|release| *release == wanted);
    let fits = |release: &&String| release.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['.', '-', '+']));
    let newest = || releases.iter().filter(fits).max_by_key(|release| numbers(release));
    exact.or_else(newest).map(String::as_str)
}

fn numbers(release: &str) -> Vec<u64> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_version_is_taken_unless_a_release_is_named() {
        let releases = ["6.1.0-9-amd64", "6.1.0-57-amd64", "6.12.117+deb12-amd64"].map(str::to_owned);
        assert_eq!(newest(&releases, "6.1"), Some("6.1.0-57-amd64"));
        assert_eq!(newest(&releases, "6.12"), Some("6.12.117+deb12-amd64"));
        assert_eq!(newest(&releases, "6.1.0-9-amd64"), Some("6.1.0-9-amd64"));
        assert_eq!(newest(&releases, "6"), Some("6.12.117+deb12-amd64"));
        assert_eq!(newest(&releases, "6.11"), None);
    }

    #[test]
    fn a_kernel_that_is_not_there_is_named_with_the_command_that_brings_it() {
        let error = Kernel::find(Path::new("/nowhere"), "6.18").unwrap_err().to_string();
        assert!(error.contains("/nowhere") && error.contains("--fetch --kernel 6.18"), "{error}");
    }
}
