//! The agent's own HTTP server: `/healthz`, `/readyz`, `/metrics`, `/status`.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{agent::Iterations, metrics, status::Status};

#[derive(Clone)]
struct Shared {
    status: watch::Receiver<Arc<Status>>,
    iterations: Arc<Iterations>,
}

/// Serves until the task is aborted.
pub async fn serve(
    address: SocketAddr,
    status: watch::Receiver<Arc<Status>>,
    iterations: Arc<Iterations>,
) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(health))
        .route("/metrics", get(metrics_text))
        .route("/status", get(status_json))
        .with_state(Shared { status, iterations });
    Ok(tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, router).await {
            tracing::error!("the HTTP server has ended: {e}");
        }
    }))
}

/// 200 or 503, a line per component.
async fn health(State(shared): State<Shared>) -> Response {
    let status = shared.status.borrow().clone();
    let mut text = String::from("DFaaS node running.\nComponents status:\n");
    for component in [&status.proxy, &status.platform] {
        let state = if component.healthy { "ready" } else { "not ready" };
        let _ = writeln!(text, "- {} {state}: {}", component.kind, component.detail);
    }
    let _ = writeln!(text, "- kernel mode {}", status.kernel.mode);
    let healthy = status.proxy.healthy && status.platform.healthy;
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text).into_response()
}

async fn status_json(State(shared): State<Shared>) -> Json<Status> {
    Json(Status::clone(&shared.status.borrow()))
}

async fn metrics_text(State(shared): State<Shared>) -> Response {
    let status = shared.status.borrow().clone();
    match metrics::render(&status, &shared.iterations) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e:#}\n")).into_response(),
    }
}
