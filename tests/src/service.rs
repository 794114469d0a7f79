//! An HTTP service inside a namespace, for as long as it is held.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::{net::TcpListener, sync::oneshot};

use crate::netns::Entrance;

pub struct Service {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Serves as soon as this returns.
    pub fn start(place: &Entrance, address: SocketAddr, router: Router) -> Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let place = place.clone();
        let thread = thread::Builder::new().name("service".into()).spawn(move || {
            let run = || -> Result<()> {
                place.go()?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let listener = TcpListener::bind(address).await?;
                    let _ = ready.send(());
                    // Connections end with the service: dropped, not drained.
                    tokio::select! {
                        served = axum::serve(listener, router) => served?,
                        _ = stopped => {}
                    }
                    Ok(())
                })
            };
            if let Err(error) = run() {
                eprintln!("service at {address}: {error:#}");
            }
        })?;
        started.recv().with_context(|| format!("the service at {address} did not start"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
