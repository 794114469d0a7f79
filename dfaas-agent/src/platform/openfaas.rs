//! Client of an OpenFaaS or faasd gateway. Everything it reads is bounded in time and size.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures::future::BoxFuture;
use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Credentials, DeployedFunction, LeftOut, Platform, PlatformKind,
    labels::{self, BadLabel, Complaint, Complaints},
};
use crate::{
    endpoint::Endpoint,
    http_body,
    name::{FunctionName, Host},
};

/// About 4,000 functions with generous labels.
const BODY_LIMIT_BYTES: usize = 8 << 20;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct OpenFaasSettings {
    pub host: Host,
    pub port: u16,
    pub credentials: Option<Credentials>,
    /// For one request as a whole, connecting included.
    pub timeout: Duration,
}

pub(super) static KIND: PlatformKind = PlatformKind {
    name: "openfaas",
    made_credentials: None,
    start: |startup| {
        Box::pin(async move {
            let platform: Arc<dyn Platform> = Arc::new(OpenFaas::new(OpenFaasSettings {
                host: startup.gateway_host,
                port: startup.gateway_port,
                credentials: startup.credentials,
                timeout: REQUEST_TIMEOUT,
            })?);
            Ok(platform)
        })
    },
};

pub struct OpenFaas {
    gateway: Endpoint,
    credentials: Option<Credentials>,
    client: Client,
    complaints: Complaints,
}

impl OpenFaas {
    pub fn new(settings: OpenFaasSettings) -> Result<Self> {
        // A redirect or a proxy from the environment would send the password to another host.
        let client = Client::builder().timeout(settings.timeout).redirect(Policy::none()).no_proxy().build()?;
        let gateway = Endpoint { host: settings.host, port: settings.port };
        Ok(Self { gateway, credentials: settings.credentials, client, complaints: Complaints::default() })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.gateway))
    }

    async fn read_functions(&self) -> Result<Vec<DeployedFunction>> {
        let mut request = self.get("/system/functions");
        if let Some(credentials) = &self.credentials {
            let password = credentials.password.read().await?;
            request = request.basic_auth(&credentials.user, Some(password));
        }
        let response = request.send().await?;
        if response.status() != StatusCode::OK {
            bail!("answer {}: expected 200 OK", response.status());
        }
        let body = http_body::read(response, BODY_LIMIT_BYTES).await?;
        let (functions, complaints) = list(&body)?;
        self.complaints.report(complaints);
        Ok(functions)
    }
}

impl Platform for OpenFaas {
    fn functions(&self) -> BoxFuture<'_, Result<Vec<DeployedFunction>>> {
        Box::pin(async {
            let context = || format!("functions of the gateway {}", self.gateway);
            self.read_functions().await.with_context(context)
        })
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let context = || format!("health of the gateway {}", self.gateway);
            let response = self.get("/healthz").send().await.with_context(context)?;
            ensure!(
                response.status() == StatusCode::OK,
                "{}: answer {}, expected 200 OK",
                context(),
                response.status()
            );
            Ok(())
        })
    }

    fn gateway(&self) -> Endpoint {
        self.gateway.clone()
    }

    fn counters(&self) -> LeftOut {
        self.complaints.counters()
    }
}

/// What is used of a function's status. Counts may be written as any JSON number, or be absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, Value>,
    replicas: Option<f64>,
    available_replicas: Option<f64>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// What a gateway says of its functions; `null`: none.
pub(super) fn list(body: &[u8]) -> Result<(Vec<DeployedFunction>, Vec<Complaint>)> {
    let entries: Option<Vec<Value>> = serde_json::from_slice(body).context("the answer is no JSON array")?;
    Ok(deployed(entries.unwrap_or_default()))
}

/// Each entry is judged alone, so that one odd function does not hide the others.
fn deployed(entries: Vec<Value>) -> (Vec<DeployedFunction>, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let mut functions: BTreeMap<FunctionName, DeployedFunction> = BTreeMap::new();
    for entry in entries {
        match deployed_one(entry, &mut complaints) {
            Ok(function) if functions.contains_key(&function.name) => {
                complaints.push(Complaint::Function(format!("{} is listed twice", function.name)));
            }
            Ok(function) => {
                functions.insert(function.name.clone(), function);
            }
            Err(text) => complaints.push(Complaint::Function(text)),
        }
    }
    (functions.into_values().collect(), complaints)
}

fn deployed_one(entry: Value, complaints: &mut Vec<Complaint>) -> Result<DeployedFunction, String> {
    let status: Status = serde_json::from_value(entry).map_err(|e| format!("status of a function: {e}"))?;
    let name: FunctionName = status.name.parse().map_err(|e: crate::name::InvalidName| e.to_string())?;
    let mut complain = |error: BadLabel| complaints.push(Complaint::Label(format!("function {name}: {error}")));
    let max_rate = label(&status.labels, labels::MAX_RATE, labels::max_rate).unwrap_or_else(|error| {
        complain(error);
        None
    });
    let timeout = label(&status.labels, labels::TIMEOUT, labels::timeout).unwrap_or_else(|error| {
        complain(error);
        None
    });
    // A float outside u32 saturates; NaN does not exist in JSON.
    let replicas = status.available_replicas.or(status.replicas).unwrap_or(0.0) as u32;
    Ok(DeployedFunction { name, max_rate, timeout, replicas })
}

fn label<T>(
    labels: &BTreeMap<String, Value>,
    name: &'static str,
    read: impl Fn(&str) -> Result<T, BadLabel>,
) -> Result<Option<T>, BadLabel> {
    match labels.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => read(text).map(Some),
        Some(other) => Err(BadLabel::not_a_text(name, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(entries: &Value) -> (Vec<DeployedFunction>, Vec<Complaint>) {
        deployed(entries.as_array().unwrap().clone())
    }

    #[test]
    fn one_bad_function_does_not_hide_the_others() {
        let (functions, complaints) = read(&json!([
            {"name": "b\nbind *:1", "labels": {"dfaas.maxrate": "1"}},
            {"name": 7},
            "no object",
            {"name": "a", "labels": {"dfaas.maxrate": "100", "dfaas.timeout_ms": "1500"}, "replicas": 2, "availableReplicas": 1},
            {"name": "a", "labels": {}},
            {"name": "odd", "labels": "none", "replicas": 1},
            {"name": "c", "labels": {"dfaas.maxrate": "a lot", "dfaas.timeout_ms": 5}, "replicas": 1},
        ]));
        let names: Vec<&str> = functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(functions[0].max_rate, Some(100));
        assert_eq!(functions[0].timeout, Some(Duration::from_millis(1500)));
        assert_eq!(functions[0].replicas, 1);
        assert_eq!((functions[1].max_rate, functions[1].timeout), (None, None));
        let left_out = complaints.iter().filter(|c| matches!(c, Complaint::Function(_))).count();
        assert_eq!((left_out, complaints.len()), (5, 7), "{complaints:?}");
    }

    #[test]
    fn unknown_fields_null_labels_and_missing_counts_are_tolerated() {
        let (functions, complaints) = read(&json!([
            {"name": "a", "image": "x", "labels": null, "annotations": null, "usage": {"cpu": 0.5}, "replicas": 3.0},
            {"name": "b", "labels": {"dfaas.maxrate": null, "com.openfaas.scale.min": "1"}},
        ]));
        assert_eq!(complaints, []);
        assert_eq!(functions.iter().map(|f| f.replicas).collect::<Vec<_>>(), [3, 0]);
        assert_eq!(functions[1].max_rate, None);
    }
}
