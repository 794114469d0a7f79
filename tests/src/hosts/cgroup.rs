//! A control group of its own for a host: systemd wants to be at the top of a hierarchy.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// Where version 2 is mounted: alone, or beside version 1.
const PLACES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    pub(super) fn make(name: &str) -> Result<Self> {
        let is_v2 = |place: &&str| statfs(*place).is_ok_and(|at| at.filesystem_type() == CGROUP2_SUPER_MAGIC);
        let place = PLACES.into_iter().find(is_v2).context("no cgroup v2 is mounted at /sys/fs/cgroup")?;
        let folder = Path::new(place).join(name);
        remove(&folder);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Whoever writes its process id here belongs to it.
    pub(super) fn entrance(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last processes may not be quite gone.
        for _ in 0..40 {
            if remove(&self.0) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{} could not be removed", self.0.display());
    }
}

/// The groups below first; true if nothing is left.
fn remove(folder: &Path) -> bool {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    fs::remove_dir(folder).is_ok_and(|()| true)
        || fs::metadata(folder).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}
