//! A function as OpenFaaS writes it in JSON: what a deployment asks for, and what a status tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// The only namespace there is, named as OpenFaaS names its default.
pub(super) const NAMESPACE: &str = "openfaas-fn";

/// Body of `POST` and `PUT /system/functions`; also the form kept in the state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Deployment {
    pub(super) service: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) image: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) env_process: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env_vars: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub(super) constraints: Vec<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub(super) secrets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests: Option<Resources>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) read_only_root_filesystem: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// An element of `GET /system/functions`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    pub(super) namespace: &'a str,
    pub(super) env_process: &'a str,
    pub(super) env_vars: &'a BTreeMap<String, String>,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) annotations: &'a BTreeMap<String, String>,
    pub(super) constraints: &'a [String],
    pub(super) secrets: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: &'a Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requests: &'a Option<Resources>,
    pub(super) read_only_root_filesystem: bool,
    pub(super) invocation_count: u64,
    pub(super) replicas: u32,
    pub(super) available_replicas: u32,
    pub(super) created_at: String,
}

/// Body of `DELETE /system/functions`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Removal {
    pub(super) function_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) namespace: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_may_have_nulls_and_fields_nobody_knows() {
        let text = r#"{"service": "a", "image": null, "network": "func_functions", "envProcess": "cat",
            "labels": null, "secrets": null, "limits": {"memory": "128M", "gpu": "1"}, "readOnlyRootFilesystem": null}"#;
        let deployment: Deployment = serde_json::from_str(text).unwrap();
        assert_eq!(deployment.env_process, "cat");
        assert_eq!(deployment.limits.unwrap().memory.as_deref(), Some("128M"));
        assert_eq!((deployment.labels.len(), deployment.read_only_root_filesystem), (0, false));
    }
}
