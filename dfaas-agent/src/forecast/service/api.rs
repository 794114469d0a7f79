//! Paths and answers of the service.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{Reload, Service, request};
use crate::forecast::models::METRICS;

const MAX_BODY_BYTES: usize = 16 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub fn router(service: Arc<Service>) -> Router {
    let mut router = Router::new()
        .route("/", get(|| async { Json("DFaaS Forecaster ready.") }))
        .route("/health", get(health))
        .route("/ready", get(|| async { Json(json!({ "ready": true })) }))
        .route("/reload", post(reload))
        .route("/node_usage", predict(&METRICS));
    for metric in &METRICS {
        router = router.route(&format!("/{metric}"), predict(std::slice::from_ref(metric)));
    }
    router.with_state(service)
}

/// The original's clients send a GET with a body; many proxies drop that, so POST does the same.
fn predict(metrics: &'static [&'static str]) -> axum::routing::MethodRouter<Arc<Service>> {
    let answer = move |State(service): State<Arc<Service>>, body: Body| answer(service, body, metrics);
    get(answer).post(answer)
}

async fn answer(service: Arc<Service>, body: Body, metrics: &[&str]) -> Response {
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return refused(StatusCode::PAYLOAD_TOO_LARGE, None, "the body is too large or broken"),
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, None, "the body did not come in time"),
    };
    match request::features(&body) {
        Ok(features) => {
            let usage = service.current().models.predict(&features);
            let all = METRICS.into_iter().zip([usage.cpu, usage.ram, usage.power]);
            let asked = all.filter(|(metric, _)| metrics.contains(metric));
            Json(json!([asked
                .map(|(metric, value)| (metric.to_owned(), value.into()))
                .collect::<serde_json::Map<_, _>>()]))
            .into_response()
        }
        Err(refusal) => refused(StatusCode::UNPROCESSABLE_ENTITY, refusal.key.as_deref(), &refusal.why),
    }
}

/// In the form in which the original's framework reports what is wrong with a request.
fn refused(status: StatusCode, key: Option<&str>, why: &str) -> Response {
    let place: Vec<_> = std::iter::once("body").chain(key).collect();
    (status, Json(json!({ "detail": [{ "loc": place, "msg": why, "type": "value_error" }] }))).into_response()
}

async fn health(State(service): State<Arc<Service>>) -> Json<Value> {
    let (current, last_error) = (service.current(), service.last_error());
    Json(json!({
        "status": if last_error.is_none() { "ok" } else { "degraded" },
        "ready": true,
        "models_loaded": METRICS.len(),
        "models_expected": METRICS.len(),
        "model_version": current.version,
        "models_type": current.family.name(),
        "manifest_ok": current.version.is_some(),
        "last_error": last_error,
    }))
}

async fn reload(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let Reload::Endpoint { token } = &service.runtime.reload else {
        return refused(StatusCode::NOT_FOUND, None, "reload_mode of runtime.json is not endpoint");
    };
    let given = headers.get("x-reload-token").map_or(&[][..], |value| value.as_bytes());
    if !same(given, token.as_bytes()) {
        return refused(StatusCode::FORBIDDEN, None, "x-reload-token is not the token of runtime.json");
    }
    let task = service.clone();
    match tokio::task::spawn_blocking(move || task.reload()).await {
        Ok(Ok(())) => health(State(service)).await.into_response(),
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, None, &error),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, None, &error.to_string()),
    }
}

/// Takes as long whatever the difference is, so that a token cannot be guessed byte by byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
