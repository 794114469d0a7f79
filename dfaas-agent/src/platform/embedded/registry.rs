//! The functions deployed on this node, kept in memory and, if wished, in a file that survives a restart.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use anyhow::{Context, Result};
use tokio::sync::Mutex;

use super::{
    bad_deployment::BadDeployment,
    deployment::Deployment,
    function::{Function, Surroundings},
    state_file::{self, Stored},
};
use crate::{name::FunctionName, platform::labels};

const SHIPPED: &str = include_str!("shipped.json");

type Functions = BTreeMap<FunctionName, Arc<Function>>;

#[derive(Debug)]
pub(super) struct Registry {
    around: Surroundings,
    max_functions: usize,
    state_file: Option<PathBuf>,
    functions: RwLock<Functions>,
    /// Held over a change and its writing, so that the file is never older than an answer.
    changing: Mutex<()>,
}

#[derive(Debug)]
pub(super) enum ChangeError {
    Refused(BadDeployment),
    Absent(FunctionName),
    Full(usize),
    /// Nothing changed: the state could not be written.
    State(anyhow::Error),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Absent(name) => write!(f, "function {name} is not deployed"),
            Self::Full(max) => write!(f, "{max} functions are deployed, expected no more than that"),
            Self::State(error) => write!(f, "the state was not saved, nothing changed: {error:#}"),
        }
    }
}

impl std::error::Error for ChangeError {}

/// The definitions that come with the agent.
pub(super) fn shipped() -> Result<Vec<Deployment>> {
    serde_json::from_str(SHIPPED).context("shipped functions")
}

impl Registry {
    /// The state file, if there is one, is the whole truth; else `initial` is deployed. `max_rates` goes over
    /// either. A function that cannot run here is named in a warning and left out.
    pub(super) fn open(
        around: Surroundings,
        max_functions: usize,
        state_file: Option<PathBuf>,
        initial: Vec<Deployment>,
        max_rates: &BTreeMap<FunctionName, u32>,
    ) -> Result<Self> {
        let saved = state_file.as_deref().map(state_file::load).transpose()?.flatten();
        let now = SystemTime::now();
        let stored = saved.unwrap_or_else(|| initial.into_iter().map(|d| Stored::new(d, now)).collect());
        let mut functions = Functions::new();
        for stored in stored {
            let created = stored.created();
            let mut deployment = stored.deployment;
            let service = deployment.service.clone();
            if let Some((_, rate)) = max_rates.iter().find(|(name, _)| name.as_str() == service) {
                deployment.labels.insert(labels::MAX_RATE.to_owned(), rate.to_string());
            }
            match Function::check(deployment, &around) {
                Ok(mut function) => {
                    function.created = created;
                    functions.insert(function.name.clone(), Arc::new(function));
                }
                Err(error) => tracing::warn!("function {service:?} is not deployed: {error}"),
            }
        }
        for name in max_rates.keys().filter(|name| !functions.contains_key(*name)) {
            tracing::warn!("a rate is set for the function {name}, which is not deployed");
        }
        Ok(Self { around, max_functions, state_file, functions: RwLock::new(functions), changing: Mutex::new(()) })
    }

    pub(super) fn get(&self, name: &FunctionName) -> Option<Arc<Function>> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// By name.
    pub(super) fn all(&self) -> Vec<Arc<Function>> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Deploys a function, in place of one of the same name if there is one; `must_exist`: only then.
    pub(super) async fn deploy(&self, deployment: Deployment, must_exist: bool) -> Result<(), ChangeError> {
        let mut function = Function::check(deployment, &self.around).map_err(ChangeError::Refused)?;
        for asked in function.without_effect() {
            tracing::warn!("function {}: {asked} has no effect in the embedded runner", function.name);
        }
        self.change(|functions| {
            match functions.get(&function.name) {
                Some(old) => {
                    function.created = old.created;
                    function.calls = Arc::clone(&old.calls);
                }
                None if must_exist => return Err(ChangeError::Absent(function.name)),
                None if functions.len() >= self.max_functions => return Err(ChangeError::Full(self.max_functions)),
                None => {}
            }
            tracing::info!("function {} deployed", function.name);
            functions.insert(function.name.clone(), Arc::new(function));
            Ok(())
        })
        .await
    }

    pub(super) async fn remove(&self, name: &FunctionName) -> Result<(), ChangeError> {
        self.change(|functions| {
            functions.remove(name).ok_or_else(|| ChangeError::Absent(name.clone()))?;
            tracing::info!("function {name} removed");
            Ok(())
        })
        .await
    }

    /// A change that fails, or cannot be written, leaves everything as it was.
    async fn change(&self, edit: impl FnOnce(&mut Functions) -> Result<(), ChangeError>) -> Result<(), ChangeError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut functions = self.functions.read().unwrap_or_else(PoisonError::into_inner).clone();
        edit(&mut functions)?;
        if let Some(file) = &self.state_file {
            state_file::save(file.clone(), functions.values().map(Arc::as_ref)).await.map_err(ChangeError::State)?;
        }
        *self.functions.write().unwrap_or_else(PoisonError::into_inner) = functions;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn around() -> Surroundings {
        Surroundings { path: "/usr/bin:/bin".to_owned(), exec_timeout: Duration::from_mins(1) }
    }

    fn deployment(service: &str, command: &str) -> Deployment {
        Deployment { service: service.to_owned(), env_process: command.to_owned(), ..Deployment::default() }
    }

    fn names(registry: &Registry) -> Vec<String> {
        registry.all().iter().map(|f| f.name.to_string()).collect()
    }

    #[test]
    fn the_shipped_definitions_are_complete() {
        let shipped = shipped().unwrap();
        let names: Vec<&str> = shipped.iter().map(|d| d.service.as_str()).collect();
        assert_eq!(names, ["figlet", "shasum", "ocr", "env"]);
        assert!(shipped.iter().all(|d| d.labels[labels::MAX_RATE] == "100"));
        assert!(shipped.iter().all(|d| super::super::words::split(&d.env_process).is_ok()));
    }

    #[test]
    fn a_function_without_its_program_is_left_out_and_rates_are_set() {
        let initial = vec![deployment("a", "cat"), deployment("b", "no-such-program")];
        let rates = BTreeMap::from([("a".parse().unwrap(), 7), ("nowhere".parse().unwrap(), 1)]);
        let registry = Registry::open(around(), 10, None, initial, &rates).unwrap();
        assert_eq!(names(&registry), ["a"]);
        assert_eq!(registry.all()[0].deployed().max_rate, Some(7));
    }

    #[tokio::test]
    async fn a_restart_keeps_what_was_deployed_and_not_what_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("functions.json");
        let open = || {
            Registry::open(around(), 10, Some(file.clone()), vec![deployment("first", "cat")], &BTreeMap::new())
                .unwrap()
        };
        let registry = open();
        registry.deploy(deployment("second", "env"), false).await.unwrap();
        registry.remove(&"first".parse().unwrap()).await.unwrap();
        let again = open();
        assert_eq!(names(&again), ["second"]);
        assert_eq!(again.all()[0].deployment, deployment("second", "env"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_saved_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone").join("functions.json");
        let registry = Registry::open(around(), 10, Some(file), Vec::new(), &BTreeMap::new()).unwrap();
        let error = registry.deploy(deployment("a", "cat"), false).await.unwrap_err();
        assert!(matches!(error, ChangeError::State(_)), "{error}");
        assert_eq!(names(&registry), [""; 0]);
    }

    #[test]
    fn a_broken_state_file_is_named_and_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[{").unwrap();
        let error =
            Registry::open(around(), 10, Some(file.path().to_owned()), Vec::new(), &BTreeMap::new()).unwrap_err();
        assert!(format!("{error:#}").contains(&file.path().display().to_string()), "{error:#}");
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "[{");
    }

    #[tokio::test]
    async fn the_number_of_functions_is_bounded() {
        let registry = Registry::open(around(), 1, None, vec![deployment("a", "cat")], &BTreeMap::new()).unwrap();
        assert!(matches!(registry.deploy(deployment("b", "cat"), false).await, Err(ChangeError::Full(1))));
        registry.deploy(deployment("a", "env"), false).await.unwrap();
        assert!(matches!(registry.deploy(deployment("b", "cat"), true).await, Err(ChangeError::Absent(_))));
    }
}
