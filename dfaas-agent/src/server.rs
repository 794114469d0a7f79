//! Accepting connections: a bounded number, each with time-outs, and an end that lets calls finish.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) max: usize,
    /// For the head of a request, and for a connection on which nothing is asked.
    pub(crate) idle: Duration,
    /// For calls under way when the server stops.
    pub(crate) grace: Duration,
}

/// For a client that does not take what it is sent.
const UNSENT_TIMEOUT_MS: u32 = 60_000;
/// After an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Runs until `stop` turns true (or its sender is gone); connections then have the grace to finish the calls
/// they are in. A call that has not ended by then is dropped, and its process killed with it.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let mut stopping = pin!(stopped(stop.clone()));
    loop {
        let accepted = tokio::select! {
            () = &mut stopping => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let connection = connection(stream, router.clone(), limits.idle, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let finished = timeout(limits.grace, async { while connections.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!("{} connections with calls that did not end within {:?}", connections.len(), limits.grace);
    }
    connections.shutdown().await;
}

/// Takes a slot first: what is beyond the bound waits in the kernel's queue.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // These fail only on a connection that is gone already, which shows as soon as it is read.
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &UNSENT_TIMEOUT_MS);
    Ok((stream, slot))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(stream: TcpStream, router: Router, idle: Duration, stop: watch::Receiver<bool>) {
    let mut stopping = pin!(stopped(stop));
    // hyper starts its clock with the first byte.
    let mut byte = [0];
    let first_byte = tokio::select! {
        peeked = timeout(idle, stream.peek(&mut byte)) => matches!(peeked, Ok(Ok(1))),
        () = &mut stopping => false,
    };
    if !first_byte {
        return;
    }
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let result = tokio::select! {
        result = &mut served => result,
        () = &mut stopping => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::trace!("connection: {error}");
    }
}
