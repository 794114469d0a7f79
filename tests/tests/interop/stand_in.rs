//! What stands where a foreign node's proxy would be: it answers every call, and remembers its head.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};
use dfaas_agent::name::NodeId;
use dfaas_tests::{client::NODE_HEADER, netns::Namespace};
use tokio::{net::TcpListener, sync::oneshot};

/// As every agent of the original announces.
pub(crate) const PORT: u16 = 30080;
pub(crate) const ANSWER: &str = "served far away";

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

#[derive(Clone)]
struct Shared {
    node: NodeId,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub(crate) struct StandIn {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Serves inside the namespace, in the name of `node`.
    pub(crate) fn start(namespace: &Namespace, node: NodeId) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let shared = Shared { node, seen: Arc::clone(&seen) };
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let entrance = namespace.entrance().unwrap();
        let thread = thread::spawn(move || {
            entrance.go().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind(("0.0.0.0", PORT)).await.unwrap();
                ready.send(()).unwrap();
                let router = Router::new().fallback(answer).with_state(shared);
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        started.recv().expect("the stand-in starts");
        Self { seen, stop: Some(stop), thread: Some(thread) }
    }

    /// Calls of functions that have come so far.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|call| call.uri.path().starts_with("/function/")).cloned().collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    shared.seen.lock().unwrap().push(Seen { uri, headers });
    ([(NODE_HEADER, shared.node.to_string())], ANSWER).into_response()
}
