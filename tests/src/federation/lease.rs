//! Who may use a prefix: a locked file, which the kernel unlocks whatever the end of the process is.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};

const DIRECTORY: &str = "/run/dfaas-federations";
pub(super) const START: &str = "fed";
const TRIES: u32 = 20;

pub(super) struct Lease {
    prefix: String,
    file: Flock<File>,
    path: PathBuf,
    kept: bool,
}

impl Lease {
    /// Takes a prefix that nobody uses.
    pub(super) fn take() -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let n = NUMBER.fetch_add(1, Relaxed);
        let prefix = format!("{START}{}{}", std::process::id(), if n == 0 { String::new() } else { format!("x{n}") });
        fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
        // Who looks for leftovers at this moment may hold it shortly.
        for _ in 0..TRIES {
            if let Some(lease) = Self::lock(&prefix)?.filter(Self::is_in_place) {
                return Ok(lease);
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("{prefix} is in use")
    }

    /// The lease of a federation whose process is gone; `None` while it lives.
    pub(super) fn lock(prefix: &str) -> Result<Option<Self>> {
        let path = PathBuf::from(DIRECTORY).join(prefix);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.with_context(|| format!("cannot open {}", path.display()))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let kept = text.lines().any(|line| line == "kept");
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok();
        Ok(lock.map(|file| Self { prefix: prefix.to_owned(), file, path, kept }))
    }

    /// False if the file was removed between opening and locking: nobody else would see the lock then.
    fn is_in_place(&self) -> bool {
        let inode = |metadata: std::io::Result<fs::Metadata>| metadata.ok().map(|metadata| metadata.ino());
        let own = inode(self.file.metadata());
        own.is_some() && own == inode(fs::metadata(&self.path))
    }

    /// Prefixes of all leases, held or not.
    pub(super) fn all() -> Vec<String> {
        let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Notes the bridge that is about to be made.
    pub(super) fn set_bridge(&mut self, bridge: &str) -> Result<()> {
        self.write(&format!("bridge {bridge}\n"))
    }

    pub(super) fn bridge(&mut self) -> Option<String> {
        self.text().ok()?.lines().find_map(|line| line.strip_prefix("bridge ").map(str::to_owned))
    }

    /// The federation is to outlive this process.
    pub(super) fn keep(&mut self) -> Result<()> {
        let text = self.text()?;
        self.write(&format!("{text}kept\n"))?;
        self.kept = true;
        Ok(())
    }

    /// Everything of this prefix has been removed.
    pub(super) fn give_back(mut self) {
        self.kept = false;
    }

    fn text(&mut self) -> Result<String> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        Ok(text)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.kept && self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
