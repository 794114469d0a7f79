//! A deployment that passed every check: a program that exists, settings that were understood.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use axum::http::HeaderValue;
use dfaas_base::{civil, duration};
use nix::unistd::{AccessFlags, access};
use tokio::sync::Semaphore;

use super::{
    bad_deployment::BadDeployment,
    confinement::MEMORY_BYTES,
    cpu_time::CpuTime,
    deployment::{Deployment, NAMESPACE, Status},
    quantity,
    words::{self, BadCommand},
};
use crate::{
    name::FunctionName,
    platform::{DeployedFunction, labels},
};

/// What the checks need to know of the runner.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// `PATH` of functions that set none of their own.
    pub(super) path: String,
    /// For functions that say nothing, or 0, which means "as long as allowed".
    pub(super) exec_timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: FunctionName,
    pub(super) deployment: Deployment,
    pub(super) created: SystemTime,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) path: String,
    pub(super) exec_timeout: Duration,
    pub(super) content_type: Option<HeaderValue>,
    /// `None`: as many calls at once as the node allows.
    pub(super) slots: Option<Arc<Semaphore>>,
    /// Shared with the versions before and after an update.
    pub(super) calls: Arc<Calls>,
    max_rate: Option<u32>,
    timeout: Option<Duration>,
}

/// Calls by outcome; `started` includes those under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) started: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) cpu: CpuTime,
}

impl Function {
    pub(super) fn check(deployment: Deployment, around: &Surroundings) -> Result<Self, BadDeployment> {
        let name: FunctionName = deployment.service.parse()?;
        if !matches!(deployment.namespace.as_str(), "" | NAMESPACE) {
            return Err(BadDeployment::Namespace(deployment.namespace));
        }
        if !deployment.secrets.is_empty() {
            return Err(BadDeployment::Secrets);
        }
        let vars = &deployment.env_vars;
        check_environment(vars)?;
        let mut words = words::split(&deployment.env_process)?.into_iter();
        let word = words.next().ok_or(BadCommand::Empty)?;
        let path = vars.get("PATH").unwrap_or(&around.path).clone();
        let program = find_program(&word, &path).ok_or(BadDeployment::NoProgram(word))?;
        let arguments: Vec<String> = words.collect();
        if arguments.iter().any(|word| word.contains('\0')) {
            return Err(BadDeployment::NulInCommand);
        }
        let max_rate = deployment.labels.get(labels::MAX_RATE).map(|v| labels::max_rate(v)).transpose()?;
        let timeout = deployment.labels.get(labels::TIMEOUT).map(|v| labels::timeout(v)).transpose()?;
        let exec_timeout = setting(vars, "exec_timeout", "seconds or a Go duration", exec_timeout)?
            .filter(|timeout| !timeout.is_zero())
            .or(timeout)
            .unwrap_or(around.exec_timeout);
        let max_inflight: Option<u32> = setting(vars, "max_inflight", "a whole number", |v| v.parse().ok())?;
        let slots = max_inflight.filter(|max| *max > 0).map(|max| Arc::new(Semaphore::new(max as usize)));
        let content_type = setting(vars, "content_type", "a header value", |v| HeaderValue::from_str(v).ok())?;
        let calls = Arc::default();
        let created = SystemTime::now();
        Ok(Self {
            name,
            deployment,
            created,
            program,
            arguments,
            path,
            exec_timeout,
            content_type,
            slots,
            calls,
            max_rate,
            timeout,
        })
    }

    /// For all processes of a call.
    pub(super) fn memory_bytes(&self) -> u64 {
        let limit = self.deployment.limits.as_ref().and_then(|limits| quantity::bytes(limits.memory.as_deref()?));
        limit.unwrap_or(MEMORY_BYTES)
    }

    /// Thousandths of a processor; `None`: all there are.
    pub(super) fn millicpus(&self) -> Option<u64> {
        quantity::thousandths(self.deployment.limits.as_ref()?.cpu.as_deref()?)
    }

    pub(super) fn deployed(&self) -> DeployedFunction {
        DeployedFunction { name: self.name.clone(), max_rate: self.max_rate, timeout: self.timeout, replicas: 1 }
    }

    pub(super) fn status(&self) -> Status<'_> {
        let deployment = &self.deployment;
        Status {
            name: self.name.as_str(),
            image: &deployment.image,
            namespace: NAMESPACE,
            env_process: &deployment.env_process,
            env_vars: &deployment.env_vars,
            labels: &deployment.labels,
            annotations: &deployment.annotations,
            constraints: &deployment.constraints,
            secrets: &deployment.secrets,
            limits: &deployment.limits,
            requests: &deployment.requests,
            read_only_root_filesystem: deployment.read_only_root_filesystem,
            invocation_count: self.calls.started.load(Relaxed),
            replicas: 1,
            available_replicas: 1,
            created_at: civil::rfc3339(self.created),
        }
    }

    /// What the deployment asks for and this platform does not give, or does not understand.
    pub(super) fn without_effect(&self) -> Vec<&'static str> {
        let deployment = &self.deployment;
        let limits = deployment.limits.as_ref();
        let asked = [
            (
                "limits.memory",
                limits.is_some_and(|l| l.memory.as_deref().is_some_and(|m| quantity::bytes(m).is_none())),
            ),
            ("limits.cpu", limits.is_some_and(|l| l.cpu.is_some()) && self.millicpus().is_none()),
            ("requests", deployment.requests.is_some()),
            ("constraints", !deployment.constraints.is_empty()),
            ("readOnlyRootFilesystem", deployment.read_only_root_filesystem),
        ];
        asked.into_iter().filter_map(|(name, is_asked)| is_asked.then_some(name)).collect()
    }
}

fn check_environment(vars: &BTreeMap<String, String>) -> Result<(), BadDeployment> {
    for (name, value) in vars {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(BadDeployment::Variable(name.clone()));
        }
    }
    Ok(())
}

/// Nobody waits for longer than a year.
fn exec_timeout(text: &str) -> Option<Duration> {
    duration::parse_or_seconds(text).filter(|timeout| *timeout <= Duration::from_hours(24 * 366))
}

/// An empty value is as good as none.
fn setting<T>(
    vars: &BTreeMap<String, String>,
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BadDeployment> {
    match vars.get(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => {
            read(value).map(Some).ok_or_else(|| BadDeployment::Setting { name, value: value.clone(), expected })
        }
    }
}

/// Looked up once: a call then starts an absolute path, which lets the standard library use `posix_spawn`.
fn find_program(word: &str, path: &str) -> Option<PathBuf> {
    let runs = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    if word.contains('/') {
        let file = PathBuf::from(word);
        return (file.is_absolute() && runs(&file)).then_some(file);
    }
    path.split(':').map(|folder| Path::new(folder).join(word)).find(|file| file.is_absolute() && runs(file))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(deployment: Value) -> Result<Function, String> {
        let around = Surroundings { path: "/usr/bin:/bin".to_owned(), exec_timeout: Duration::from_mins(1) };
        Function::check(serde_json::from_value(deployment).unwrap(), &around).map_err(|e| e.to_string())
    }

    #[test]
    fn settings_are_read_once_at_deployment() {
        let function = check(json!({"service": "a", "envProcess": "cat 'a b'",
            "envVars": {"exec_timeout": "1m", "max_inflight": "3", "content_type": "text/plain"},
            "labels": {"dfaas.maxrate": "7", "dfaas.timeout_ms": "500"}}))
        .unwrap();
        assert!(function.program.is_absolute() && function.program.ends_with("cat"));
        assert_eq!(function.arguments, ["a b"]);
        assert_eq!(function.exec_timeout, Duration::from_mins(1));
        assert_eq!(function.slots.as_ref().unwrap().available_permits(), 3);
        let deployed = function.deployed();
        assert_eq!((deployed.max_rate, deployed.timeout), (Some(7), Some(Duration::from_millis(500))));
    }

    #[test]
    fn a_call_lasts_no_longer_than_somebody_waits_for_it() {
        let timeout = |vars, labels| {
            check(json!({"service": "a", "envProcess": "cat", "envVars": vars, "labels": labels})).unwrap().exec_timeout
        };
        assert_eq!(timeout(json!({"exec_timeout": "2"}), json!({})), Duration::from_secs(2));
        assert_eq!(timeout(json!({"exec_timeout": "0"}), json!({})), Duration::from_mins(1));
        assert_eq!(timeout(json!({}), json!({"dfaas.timeout_ms": "500"})), Duration::from_millis(500));
    }

    #[test]
    fn every_refusal_names_the_value() {
        for (deployment, named) in [
            (json!({"service": "a b", "envProcess": "cat"}), "a b"),
            (json!({"service": "a", "namespace": "other", "envProcess": "cat"}), "other"),
            (json!({"service": "a", "envProcess": ""}), "empty"),
            (json!({"service": "a", "envProcess": "no-such-program"}), "no-such-program"),
            (json!({"service": "a", "envProcess": "./cat"}), "./cat"),
            (json!({"service": "a", "envProcess": "/etc/passwd"}), "/etc/passwd"),
            (json!({"service": "a", "envProcess": "cat", "secrets": ["s"]}), "secrets"),
            (json!({"service": "a", "envProcess": "cat", "envVars": {"A=B": ""}}), "A=B"),
            (json!({"service": "a", "envProcess": "cat", "envVars": {"exec_timeout": "soon"}}), "soon"),
            (json!({"service": "a", "envProcess": "cat", "envVars": {"max_inflight": "-1"}}), "-1"),
            (json!({"service": "a", "envProcess": "cat", "envVars": {"content_type": "a\nb"}}), "a\\nb"),
            (json!({"service": "a", "envProcess": "cat", "labels": {"dfaas.maxrate": "lots"}}), "lots"),
        ] {
            let error = check(deployment.clone()).unwrap_err();
            assert!(error.contains(named), "{deployment}: {error}");
        }
    }
}
