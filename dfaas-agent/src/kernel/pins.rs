//! What survives the agent: pinned maps and links under `/sys/fs/bpf/dfaas/<node>/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    maps::{MapData, MapError},
    sys::SyscallError,
};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// Where the kernel's objects have names.
const BPF_FS: &str = "/sys/fs/bpf";

/// Paths of one node's pins. Links are pinned beside the maps.
#[derive(Clone, Debug)]
pub struct Pins {
    directory: PathBuf,
}

/// The attachments, by the name of their pin.
pub const LINKS: [&str; 4] = [XDP_NATIVE, XDP_GENERIC, TC_IN, TC_OUT];
pub const XDP_NATIVE: &str = "link_xdp_native";
pub const XDP_GENERIC: &str = "link_xdp_generic";
pub const TC_IN: &str = "link_tc_in";
pub const TC_OUT: &str = "link_tc_out";

impl Pins {
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Makes the directory, on a BPF file system.
    pub fn prepare(&self) -> Result<()> {
        mount_bpf_fs(&self.directory)?;
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot make {}", self.directory.display()))?;
        let at = statfs(&self.directory).with_context(|| format!("cannot look at {}", self.directory.display()))?;
        if at.filesystem_type() != BPF_FS_MAGIC {
            bail!("{} is not on a BPF file system: choose a directory under {BPF_FS}", self.directory.display());
        }
        Ok(())
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Detaches the programs and lets go of the maps. Links first: no program runs on maps without a name.
    pub fn remove_all(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        for name in LINKS.iter().chain(&dfaas_common::maps::ALL) {
            if self.exists(name) {
                self.remove(name)?;
                removed.push((*name).to_owned());
            }
        }
        if self.directory.exists() {
            fs::remove_dir(&self.directory).with_context(|| format!("cannot remove {}", self.directory.display()))?;
        }
        Ok(removed)
    }
}

/// Looks at what there is of `directory`, not at [`BPF_FS`]: a service may see only its own folder of that.
fn mount_bpf_fs(directory: &Path) -> Result<()> {
    use nix::mount::{MsFlags, mount};
    let nearest = directory.ancestors().find_map(|folder| statfs(folder).ok());
    if nearest.is_some_and(|at| at.filesystem_type() == BPF_FS_MAGIC) {
        return Ok(());
    }
    tracing::info!("mounting the BPF file system at {BPF_FS}");
    mount(Some("bpf"), BPF_FS, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .with_context(|| format!("cannot mount the BPF file system: run `mount -t bpf bpf {BPF_FS}` as root"))
}

/// Opens a pinned map; `None` if there is no such pin.
pub fn pinned_map(pins: &Pins, name: &str) -> Result<Option<MapData>> {
    match MapData::from_pin(pins.path(name)) {
        Ok(map) => Ok(Some(map)),
        Err(MapError::SyscallError(SyscallError { io_error, .. })) if io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(e) => Err(e).with_context(|| format!("cannot open {}", pins.path(name).display())),
    }
}
