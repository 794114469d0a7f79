//! The file that keeps the deployed functions over a restart.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{deployment::Deployment, function::Function};

const LIMIT_BYTES: u64 = 64 << 20;

/// A deployment and when it was first made.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    created_unix_s: u64,
    #[serde(flatten)]
    pub(super) deployment: Deployment,
}

impl Stored {
    pub(super) fn new(deployment: Deployment, created: SystemTime) -> Self {
        let created_unix_s = created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { created_unix_s, deployment }
    }

    /// Never in the future, whatever the file says.
    pub(super) fn created(&self) -> SystemTime {
        let now = SystemTime::now();
        UNIX_EPOCH.checked_add(Duration::from_secs(self.created_unix_s)).map_or(now, |created| created.min(now))
    }
}

/// `None` if there is no file yet. A file that cannot be read is an error: going on would overwrite it.
pub(super) fn load(path: &Path) -> Result<Option<Vec<Stored>>> {
    let context = || format!("state file {}", path.display());
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(context)?,
    };
    let mut bytes = Vec::new();
    file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(bytes.len() as u64 <= LIMIT_BYTES, "{}: longer than {LIMIT_BYTES} bytes", context());
    serde_json::from_slice(&bytes).map(Some).with_context(context)
}

pub(super) async fn save(path: PathBuf, functions: impl Iterator<Item = &Function>) -> Result<()> {
    let stored: Vec<Stored> = functions.map(|f| Stored::new(f.deployment.clone(), f.created)).collect();
    let bytes = serde_json::to_vec_pretty(&stored)?;
    let context = format!("state file {}", path.display());
    tokio::task::spawn_blocking(move || replace(&path, &bytes)).await?.context(context)
}

/// A reader, and a restart after a power cut, sees the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Readable by the owner only, as tempfile makes it: environment variables may hold secrets.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}
