//! Files that are whole or not there: written under another name first.

use std::{fs, io::BufWriter, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

/// Writes a file by `write`. If that fails, what was there before stays.
pub fn write(target: &Path, write: impl FnOnce(&mut BufWriter<NamedTempFile>) -> Result<()>) -> Result<()> {
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new()
        .prefix(".dfaas-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write {}", target.display()))?;
    let mut buffer = BufWriter::new(file);
    write(&mut buffer)?;
    let file = buffer.into_inner().with_context(|| format!("cannot write {}", target.display()))?;
    file.persist(target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(())
}
