//! `dfaas-agent forecast serve`: the forecaster as an HTTP service.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use dfaas_base::{BadInput, command::runtime};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::ModelsArg;
use crate::{
    forecast::{
        models::Family,
        service::{Service, router},
    },
    server::{self, ConnectionLimits},
};

const LIMITS: ConnectionLimits =
    ConnectionLimits { max: 1024, idle: Duration::from_mins(1), grace: Duration::from_secs(5) };

/// Serve forecasts over HTTP, as the original's forecaster does
#[derive(Debug, Args)]
#[command(
    long_about = "Answers GET (with a body) and POST on /node_usage, /cpu_usage_node, /ram_usage_node and /power_usage_node. \
                  The body is a JSON object with rate_group_HIGH_USAGE, rate_group_LOW_USAGE, rate_group_MEDIUM_USAGE and \
                  node_type. Also /health and /ready.\n\nA runtime.json in the folder may set models_base_dir, \
                  models_type, manifest_filename, reload_mode (none, poll or endpoint), reload_interval_seconds and \
                  reload_token. New models are used only if every file has the hash that the manifest lists, and then all \
                  at once.\n\nSIGTERM or SIGINT ends it."
)]
pub(super) struct Serve {
    #[command(flatten)]
    models: ModelsArg,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    address: SocketAddr,
    /// regression, quantile005 or quantile095; wins over runtime.json and manifest [default: regression]
    #[arg(long, env = "MODELS_TYPE")]
    family: Option<Family>,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode> {
        let service = Arc::new(Service::new(&self.models.models, self.family).map_err(BadInput)?);
        runtime()?.block_on(serve(self.address, service))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(address: SocketAddr, service: Arc<Service>) -> Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    #[allow(clippy::print_stderr, reason = "a script waits for it, and with port 0 nobody else knows the port")]
    {
        eprintln!("listening on {}", listener.local_addr()?);
    }
    let (stop, stopping) = watch::channel(false);
    let watching = tokio::spawn(service.clone().watch());
    let mut serving = tokio::spawn(server::serve(listener, router(service), LIMITS, stopping));
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        ended = &mut serving => return ended.context("the server has ended"),
    }
    watching.abort();
    let _ = stop.send(true);
    serving.await.context("the server has ended")
}
