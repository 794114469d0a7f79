//! The files HAProxy loads: a candidate is staged and checked beside them, then takes their place.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{ProxyError, Rendered, settings::ProxySettings};

pub(super) struct ConfigFiles {
    config: PathBuf,
    dir: PathBuf,
    staging: PathBuf,
}

impl ConfigFiles {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let config = settings.config_file();
        let dir = config.parent().unwrap_or(Path::new("/")).to_path_buf();
        let staging = settings.run_dir.join("candidate");
        for path in [&dir, &staging] {
            fs::create_dir_all(path).map_err(ProxyError::io("create", path))?;
        }
        Ok(Self { config, dir, staging })
    }

    /// Writes a candidate that HAProxy can check; the files in use stay as they are.
    pub(super) fn stage(&self, rendered: &Rendered) -> Result<PathBuf, ProxyError> {
        let config = self.staging.join("haproxy.cfg");
        write_all(&self.staging, &config, rendered)?;
        Ok(config)
    }

    /// Replaces the files in use, each at once, the configuration last.
    pub(super) fn promote(&self, rendered: &Rendered) -> Result<(), ProxyError> {
        write_all(&self.dir, &self.config, rendered)
    }

    /// What is in place of the files of `rendered`, to be put back if those cannot be loaded.
    pub(super) fn former(&self, rendered: &Rendered) -> Result<Former, ProxyError> {
        let maps = rendered.map_files().map(|(name, _)| self.dir.join(name));
        let read = |path: PathBuf| match fs::read(&path) {
            Ok(text) => Ok((path, Some(text))),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok((path, None)),
            Err(err) => Err(ProxyError::io("read", path)(err)),
        };
        maps.chain([self.config.clone()]).map(read).collect::<Result<_, _>>().map(Former)
    }
}

pub(super) struct Former(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Former {
    pub(super) fn restore(self) -> Result<(), ProxyError> {
        for (path, text) in self.0 {
            match text {
                Some(text) => replace(&path, &text)?,
                None => fs::remove_file(&path).map_err(ProxyError::io("remove", &path))?,
            }
        }
        Ok(())
    }
}

fn write_all(dir: &Path, config: &Path, rendered: &Rendered) -> Result<(), ProxyError> {
    for (name, text) in rendered.map_files() {
        replace(&dir.join(name), text.as_bytes())?;
    }
    replace(config, rendered.config.as_bytes())
}

fn replace(path: &Path, text: &[u8]) -> Result<(), ProxyError> {
    // A new file under a name that nobody can foresee: HAProxy's user may write into the folder.
    let write = || -> io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
        new.write_all(text)?;
        new.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        new.persist(path)?;
        Ok(())
    };
    write().map_err(ProxyError::io("write", path))
}
