//! The agent's own HTTP server: `/healthz`, `/readyz`, `/metrics`, `/status`.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    metrics::{self, Meters},
    p2p::OverlayHandle,
    platform::Platform,
    server::{self, ConnectionLimits},
    status::{Component, Status},
};

/// What there is to show.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) overlay: OverlayHandle,
    pub(crate) platform: Arc<dyn Platform>,
}

/// Probes and scrapers are few; each connection has time-outs.
const LIMITS: ConnectionLimits =
    ConnectionLimits { max: 64, idle: Duration::from_secs(30), grace: Duration::from_secs(1) };

/// Serves until the task is aborted.
pub(crate) fn serve(listener: TcpListener, shown: Shown) -> JoinHandle<()> {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/status", get(status_json))
        .with_state(shown);
    tokio::spawn(async move {
        let (_never, stop) = watch::channel(false);
        server::serve(listener, router, LIMITS, stop).await;
    })
}

/// 200 or 503, a line per component (as the original, without its defect B19: docs/compatibility.md).
async fn health(State(shared): State<Shown>) -> Response {
    let (well, text) = report(&shared.status.borrow().components());
    answer(well, text)
}

fn report(components: &[Component]) -> (bool, String) {
    let mut text = String::from("DFaaS node running.\nComponents status:\n");
    for Component { kind, healthy, detail } in components {
        let _ = writeln!(text, "- {kind} {}: {detail}", if *healthy { "ready" } else { "not ready" });
    }
    (components.iter().all(|component| component.healthy), text)
}

/// 200 once the data planes have tables: a node that has lost a component still serves.
async fn ready(State(shared): State<Shown>) -> Response {
    let ready = shared.status.borrow().ready;
    answer(ready, if ready { "ready\n" } else { "no tables yet\n" }.to_owned())
}

fn answer(well: bool, text: String) -> Response {
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text).into_response()
}

async fn status_json(State(shared): State<Shown>) -> Json<Status> {
    Json(Status::clone(&shared.status.borrow()))
}

async fn metrics_text(State(shared): State<Shown>) -> Response {
    let status = shared.status.borrow().clone();
    let overlay = &shared.overlay;
    let (messages, counters, left_out) = (overlay.messages(), overlay.counters(), shared.platform.counters());
    match metrics::render(&status, &shared.meters, &messages, &counters, left_out) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e:#}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_component_that_is_not_well_makes_a_503_that_says_which_and_why() {
        let component = |kind: &str, healthy| Component { kind: kind.into(), healthy, detail: "gone".into() };
        let (well, text) = report(&[component("kernel", true), component("openfaas", false)]);
        assert_eq!(answer(well, text.clone()).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.ends_with("- kernel ready: gone\n- openfaas not ready: gone\n"), "{text}");
        let (well, text) = report(&[component("kernel", true)]);
        assert_eq!(answer(well, text).status(), StatusCode::OK);
    }
}
