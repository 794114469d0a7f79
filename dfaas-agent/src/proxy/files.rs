//! The files HAProxy loads: a candidate is staged and checked beside them, then takes their place.

use std::{
    fs, io,
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
}

fn write_all(dir: &Path, config: &Path, rendered: &Rendered) -> Result<(), ProxyError> {
    for (name, text) in rendered.map_files() {
        replace(&dir.join(name), &text)?;
    }
    replace(config, &rendered.config)
}

fn replace(path: &Path, text: &str) -> Result<(), ProxyError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let write = || -> io::Result<()> {
        fs::write(&new, text)?;
        fs::rename(&new, path)
    };
    write().map_err(ProxyError::io("write", path))
}
