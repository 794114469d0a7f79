//! Servers to play at. Each runs on a thread of its own, until the test ends.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode},
    routing::{any, get},
};
use futures::stream;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// How long `/stall` stalls, once.
pub(crate) const STALL: Duration = Duration::from_secs(1);

/// What a server saw.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) headers: Arc<Mutex<Vec<HeaderMap>>>,
}

fn on_thread<F: Future<Output = ()>>(host: &str, serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> SocketAddr {
    let (sender, receiver) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind((host.as_str(), 0)).await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            serve(listener).await;
        });
    });
    receiver.recv().unwrap()
}

/// A node as it should be; `/stall`, `/chunks`, `/echo` and `/fail` do what they say.
pub(crate) fn node(host: &str) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let headers = Arc::clone(&seen.headers);
    let stalled = Arc::new(OnceLock::new());
    let stall = move || {
        let end = *stalled.get_or_init(|| Instant::now() + STALL);
        async move {
            tokio::time::sleep_until(end.into()).await;
            "stalled"
        }
    };
    let chunks = || async { Body::from_stream(stream::iter(["one", "two", "three"].map(Ok::<_, std::io::Error>))) };
    let fast = move |sent: HeaderMap| async move {
        headers.lock().unwrap().push(sent);
        ([("x-server", "n1"), ("dfaas-node-id", "id1")], "ok")
    };
    let forwarded = || async { ([("x-server", "n2"), ("dfaas-node-id", "id1"), ("dfaas-forwarded-to", "id2")], "ok") };
    let app = Router::new()
        .route("/healthz", get("ok"))
        .route("/fast", any(fast))
        .route("/forwarded", get(forwarded))
        .route("/stall", get(stall))
        .route("/chunks", get(chunks))
        .route("/echo", any(|body: Bytes| async { body }))
        .route("/fail", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
        .layer(DefaultBodyLimit::disable());
    let address = on_thread(host, |listener| async { axum::serve(listener, app).await.unwrap() });
    (address, seen)
}

/// What a raw server does with a connection on which a request has come.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Answers as long as requests come.
    Answer,
    /// Answers one request, says so, and closes.
    AnswerOnce,
    /// Closes without an answer.
    Close,
    /// Promises more than it sends.
    BreakOff,
    /// Says nothing.
    Silence,
}

pub(crate) fn raw(manner: Manner) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let connections = Arc::clone(&seen.connections);
    let address = on_thread("127.0.0.1", move |listener| async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                    let answer = match manner {
                        Manner::Answer => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                        Manner::AnswerOnce => "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                        Manner::BreakOff => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                        Manner::Close => "",
                        Manner::Silence => {
                            std::future::pending::<()>().await;
                            ""
                        }
                    };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if !matches!(manner, Manner::Answer) {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}
