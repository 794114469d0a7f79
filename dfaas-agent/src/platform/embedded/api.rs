//! The HTTP interface, in paths and shapes that of an OpenFaaS gateway.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Runner, auth,
    bad_deployment::BadDeployment,
    body,
    deployment::{Deployment, NAMESPACE, Removal},
    invoke,
    refusal::Refusal,
    registry::ChangeError,
};
use crate::{name::FunctionName, platform::Credentials};

pub(super) fn router(runner: Arc<Runner>, credentials: Credentials) -> Router {
    let system = Router::new()
        .route("/system/info", get(info))
        .route("/system/functions", get(list).post(deploy).put(update).delete(remove))
        .route("/system/function/{name}", get(status))
        .route_layer(middleware::from_fn_with_state(credentials, auth::check));
    Router::new()
        .route("/", get("OK"))
        .route("/healthz", get("OK"))
        .route("/function/{*call}", any(invoke::invoke))
        .merge(system)
        .with_state(runner)
}

#[derive(Deserialize)]
struct Selection {
    namespace: Option<String>,
}

impl Selection {
    fn is_here(&self) -> bool {
        matches!(self.namespace.as_deref(), None | Some("" | NAMESPACE))
    }
}

async fn list(State(runner): State<Arc<Runner>>, Query(selection): Query<Selection>) -> Response {
    let functions = if selection.is_here() { runner.registry.all() } else { Vec::new() };
    Json(functions.iter().map(|function| function.status()).collect::<Vec<_>>()).into_response()
}

async fn status(
    State(runner): State<Arc<Runner>>,
    Path(name): Path<String>,
    Query(selection): Query<Selection>,
) -> Response {
    let function = name.parse().ok().filter(|_| selection.is_here()).and_then(|name| runner.registry.get(&name));
    match function {
        Some(function) => Json(function.status()).into_response(),
        None => (StatusCode::NOT_FOUND, "no such function\n").into_response(),
    }
}

async fn deploy(State(runner): State<Arc<Runner>>, request: Request) -> Result<StatusCode, Refusal> {
    let deployment: Deployment = read_json(&runner, request).await?;
    to_the_end(async move { runner.registry.deploy(deployment, false).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn update(State(runner): State<Arc<Runner>>, request: Request) -> Result<StatusCode, Refusal> {
    let deployment: Deployment = read_json(&runner, request).await?;
    to_the_end(async move { runner.registry.deploy(deployment, true).await }).await?;
    Ok(StatusCode::OK)
}

async fn remove(State(runner): State<Arc<Runner>>, request: Request) -> Result<StatusCode, Refusal> {
    let removal: Removal = read_json(&runner, request).await?;
    if !(Selection { namespace: Some(removal.namespace.clone()) }).is_here() {
        return Err(ChangeError::Refused(BadDeployment::Namespace(removal.namespace)).into());
    }
    let name: FunctionName = removal.function_name.parse().map_err(|e| ChangeError::Refused(BadDeployment::Name(e)))?;
    to_the_end(async move { runner.registry.remove(&name).await }).await?;
    Ok(StatusCode::OK)
}

/// A client that leaves must not stop a change between the file and the memory.
async fn to_the_end(change: impl Future<Output = Result<(), ChangeError>> + Send + 'static) -> Result<(), Refusal> {
    let done = tokio::spawn(change).await;
    done.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?.map_err(Refusal::from)
}

async fn info() -> Json<Value> {
    let version = json!({ "release": env!("CARGO_PKG_VERSION"), "sha": "" });
    let provider = json!({ "provider": "dfaas-embedded", "orchestration": "processes", "version": version });
    Json(json!({ "provider": provider, "version": version, "arch": std::env::consts::ARCH }))
}

/// Whatever the content type says: tools differ in what they send.
async fn read_json<T: DeserializeOwned>(runner: &Runner, request: Request) -> Result<T, Refusal> {
    let body = body::read(request.into_body(), &runner.admin_body, runner.budget.lease()).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("bad JSON: {error}")))
}
