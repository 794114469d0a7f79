//! The forecaster as an HTTP service, with the original's interface (ecosystem reference, sections 5.1 and 5.3).
//!
//! A set of models is loaded whole, beside the one in use, and takes its place only if everything in it is right.

mod api;
mod request;
mod runtime;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use super::{
    folder::ModelFolder,
    models::{Family, UsageModels},
};

pub use api::router;
pub use runtime::{Reload, Runtime};

/// What requests are answered with, and how it is replaced.
#[derive(Debug)]
pub struct Service {
    root: PathBuf,
    runtime: Runtime,
    current: RwLock<Arc<Loaded>>,
    /// Why the last reload has failed.
    last_error: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Loaded {
    models: UsageModels,
    family: Family,
    /// Of the manifest; `None` without one.
    version: Option<String>,
}

impl Service {
    /// Loads the models that the folder's `runtime.json` names; `family` wins over what is said there.
    pub fn new(folder: &Path, family: Option<Family>) -> Result<Self, String> {
        let runtime = Runtime::read(folder, family)?;
        let root = folder.join(&runtime.models_base_dir);
        let loaded = load(&root, &runtime)?;
        Ok(Self { root, runtime, current: RwLock::new(Arc::new(loaded)), last_error: Mutex::new(None) })
    }

    /// Takes the models that are in the folder now. If anything in them is wrong, those in use stay.
    pub fn reload(&self) -> Result<(), String> {
        let loaded = load(&self.root, &self.runtime);
        let mut last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(loaded) => {
                tracing::info!("models {} loaded", loaded.version.as_deref().unwrap_or("without a version"));
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                *last_error = None;
                Ok(())
            }
            Err(error) => {
                tracing::warn!("the models in use stay: {error}");
                *last_error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Reloads when the manifest changes, if the folder asks for that. Never ends.
    pub async fn watch(self: Arc<Self>) {
        let Reload::Poll { seconds } = self.runtime.reload else { return std::future::pending().await };
        let manifest = self.root.join(&self.runtime.manifest_filename);
        let mut seen = tokio::fs::read(&manifest).await.ok();
        loop {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let now = tokio::fs::read(&manifest).await.ok();
            if now != seen {
                let service = self.clone();
                // A set that is refused may be on its way here still: it is tried again.
                if let Ok(Ok(())) = tokio::task::spawn_blocking(move || service.reload()).await {
                    seen = now;
                }
            }
        }
    }

    fn current(&self) -> Arc<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn load(root: &Path, runtime: &Runtime) -> Result<Loaded, String> {
    let folder = ModelFolder::with_manifest(root, &runtime.manifest_filename)?;
    let manifest = folder.manifest();
    let told = manifest.and_then(|manifest| manifest.models_type.as_deref());
    let told = told.map(|name| name.parse().map_err(|e| format!("{}: models_type: {e}", runtime.manifest_filename)));
    let family = runtime.family.or(told.transpose()?).unwrap_or_default();
    let version = manifest.map(|manifest| manifest.model_version.clone());
    Ok(Loaded { models: UsageModels::load(&folder, family)?, family, version })
}

#[cfg(test)]
mod tests;
