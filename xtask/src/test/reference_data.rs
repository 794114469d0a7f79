//! The original's measurements and traces: not part of the project, used by tests where they are present.
//!
//! A test that needs them is `#[ignore = "needs the reference data"]`: without them it is counted as skipped,
//! with them all ignored tests are run.

use std::{env, path::PathBuf};

use crate::project::Project;

pub(crate) const VARIABLE: &str = "DFAAS_REFERENCE_DATA";
const DEFAULT: &str = "../shared/data/dfaas";

#[derive(Debug)]
pub(super) struct ReferenceData {
    /// The folder, or why there is none.
    pub(super) folder: Result<PathBuf, String>,
}

impl ReferenceData {
    pub(super) fn find(project: &Project) -> Self {
        let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        let data = Self::at(&project.root.join(named.map_or_else(|| PathBuf::from(DEFAULT), PathBuf::from)));
        match &data.folder {
            Ok(folder) => println!("    reference data: {}", folder.display()),
            Err(reason) => println!("    tests that need the reference data are skipped: {reason}"),
        }
        data
    }

    fn at(folder: &std::path::Path) -> Self {
        let found = folder.canonicalize().ok().filter(|folder| folder.is_dir());
        let reason = || format!("reference data is absent: no folder {} (set {VARIABLE})", folder.display());
        Self { folder: found.ok_or_else(reason) }
    }

    pub(super) fn libtest_args(&self) -> &'static [&'static str] {
        if self.folder.is_ok() { &["--include-ignored"] } else { &[] }
    }

    pub(super) fn environment(&self) -> Option<(&'static str, String)> {
        self.folder.as_ref().ok().map(|folder| (VARIABLE, folder.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tests_run_only_with_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let present = ReferenceData::at(folder.path());
        assert_eq!(present.libtest_args(), ["--include-ignored"]);
        assert_eq!(present.environment().unwrap().0, VARIABLE);
        let absent = ReferenceData::at(&folder.path().join("none"));
        assert!(absent.libtest_args().is_empty() && absent.environment().is_none());
        assert!(absent.folder.unwrap_err().contains("/none (set DFAAS_REFERENCE_DATA)"));
    }
}
