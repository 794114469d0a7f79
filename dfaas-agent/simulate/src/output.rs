//! Folders of results, whole or not at all: written to a temporary sibling, renamed when complete.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use dfaas_base::BadInput;

/// A folder of results that is being written. Dropped before [`OutputFolder::publish`] it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFolder {
    target: PathBuf,
    force: bool,
    temporary: TempDir,
}

impl OutputFolder {
    /// Refuses a target that exists, unless `force` says that it may be replaced.
    pub fn new(target: &Path, force: bool) -> Result<Self> {
        refuse_existing(target, force)?;
        let parent = parent(target);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let temporary = sibling(target)?;
        Ok(Self { target: target.to_owned(), force, temporary })
    }

    /// Where the files are to be written.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the folder its name. What was there before is gone, as `force` allowed.
    pub fn publish(self) -> Result<()> {
        refuse_existing(&self.target, self.force)?;
        let replaced = if self.target.exists() {
            let old = sibling(&self.target)?;
            fs::rename(&self.target, old.path().join("old"))
                .with_context(|| format!("cannot move {} aside", self.target.display()))?;
            Some(old)
        } else {
            None
        };
        if let Err(e) = fs::rename(self.temporary.path(), &self.target) {
            if let Some(old) = replaced {
                let _ = fs::rename(old.path().join("old"), &self.target);
            }
            return Err(e).with_context(|| format!("cannot create {}", self.target.display()));
        }
        // Nothing of that name is left for the guard to remove.
        let _ = self.temporary.keep();
        Ok(())
    }
}

fn refuse_existing(target: &Path, force: bool) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(target) else { return Ok(()) };
    let shown = target.display();
    if !found.is_dir() {
        return Err(BadInput(format!("--out {shown}: is not a folder, expected a new one")).into());
    }
    if !force {
        return Err(BadInput(format!("--out {shown}: exists, expected a new folder (--force replaces it)")).into());
    }
    Ok(())
}

/// On the same file system, so that renaming is one step.
fn sibling(target: &Path) -> Result<TempDir> {
    let name = target.file_name().with_context(|| format!("{} has no last part to be named by", target.display()))?;
    tempfile::Builder::new()
        .prefix(&format!(".{}.", name.to_string_lossy()))
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(parent(target))
        .with_context(|| format!("cannot write beside {}", target.display()))
}

fn parent(target: &Path) -> &Path {
    target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(target: &Path, force: bool, text: &str) -> Result<()> {
        let folder = OutputFolder::new(target, force)?;
        fs::write(folder.path().join("file"), text)?;
        folder.publish()
    }

    #[test]
    fn a_published_folder_holds_what_was_written_and_nothing_else_is_left() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("a/results");
        write(&target, false, "one").unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "one");
        assert_eq!(entries(target.parent().unwrap()), ["results"]);
    }

    #[test]
    fn a_folder_given_up_leaves_nothing() {
        let base = tempfile::tempdir().unwrap();
        let folder = OutputFolder::new(&base.path().join("results"), false).unwrap();
        fs::write(folder.path().join("file"), "half").unwrap();
        drop(folder);
        assert!(entries(base.path()).is_empty());
    }

    #[test]
    fn an_existing_folder_is_replaced_only_by_force() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("results");
        write(&target, false, "one").unwrap();
        fs::write(target.join("other"), "").unwrap();
        let refused = write(&target, false, "two").unwrap_err();
        assert!(refused.is::<BadInput>() && refused.to_string().contains("--force"), "{refused}");
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "one");
        write(&target, true, "two").unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "two");
        assert_eq!(entries(&target), ["file"]);
        assert_eq!(entries(base.path()), ["results"]);
    }

    #[test]
    fn a_file_is_never_replaced() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("results");
        fs::write(&target, "mine").unwrap();
        assert!(write(&target, true, "two").unwrap_err().is::<BadInput>());
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    }
}
