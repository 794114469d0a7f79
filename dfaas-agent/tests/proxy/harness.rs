//! One node under test: its own loopback addresses, HAProxy, gateway and peers, all ended on drop.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use dfaas_agent::{
    decision::{Decision, FunctionTable, PeerEndpoint, Shape, Weights},
    name::{FunctionName, NodeId},
    proxy::{Instance, Proxy, ProxySettings},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixStream},
    task::JoinHandle,
};

pub(crate) const OWN_ID: &str = "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu";
pub(crate) const PEER_A: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";
pub(crate) const PEER_B: &str = "12D3KooWBmwkafWE2fqfzS96VoTZgpGp6aJsF4N5hXgKqKqGbxcE";
const HANDOFF_PORT: u16 = 20_081;

static NODES: AtomicU8 = AtomicU8::new(1);

/// A small HTTP server: the gateway, or the proxy of a peer.
pub(crate) struct Server {
    pub(crate) calls: Arc<AtomicU64>,
    last: Arc<Mutex<HeaderMap>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct ServerState {
    name: &'static str,
    status: StatusCode,
    calls: Arc<AtomicU64>,
    last: Arc<Mutex<HeaderMap>>,
}

impl Server {
    pub(crate) async fn start(address: SocketAddr, name: &'static str) -> Self {
        Self::answering(address, name, StatusCode::OK).await
    }

    /// Answers every call with `status`; health checks get 200 all the same.
    pub(crate) async fn answering(address: SocketAddr, name: &'static str, status: StatusCode) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (calls, last) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(HeaderMap::new())));
        let state = ServerState { name, status, calls: Arc::clone(&calls), last: Arc::clone(&last) };
        let router = Router::new().fallback(answer).with_state(state);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { calls, last, task }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Takes no connection any more.
    pub(crate) async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// A header of the last call.
    pub(crate) fn seen(&self, name: &str) -> Option<String> {
        Some(self.last.lock().unwrap().get(name)?.to_str().unwrap().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(state): State<ServerState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        return "ok\n".into_response();
    }
    state.calls.fetch_add(1, Ordering::SeqCst);
    *state.last.lock().unwrap() = request.headers().clone();
    let slow = request.uri().query() == Some("slow");
    let length = axum::body::to_bytes(request.into_body(), usize::MAX).await.map_or(0, |body| body.len());
    if slow {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let body = Body::from(format!("{} {path} {length}", state.name));
    let mut response = (state.status, body).into_response();
    if state.name != "gateway" {
        let id = if state.name == "peer-a" { PEER_A } else { PEER_B };
        response.headers_mut().insert("DFaaS-Node-ID", id.parse().unwrap());
    }
    response
}

pub(crate) struct Node {
    pub(crate) settings: ProxySettings,
    pub(crate) gateway: Server,
    number: u8,
    _dir: tempfile::TempDir,
}

impl Node {
    pub(crate) async fn new() -> Self {
        let number = NODES.fetch_add(1, Ordering::SeqCst);
        let dir = tempfile::Builder::new().prefix("dfaas-proxy-").tempdir().unwrap();
        let gateway = Server::start(SocketAddr::new(ip(number, 2), 8080), "gateway").await;
        let settings = ProxySettings {
            node: OWN_ID.parse().unwrap(),
            host: ip(number, 1).to_string().parse().unwrap(),
            service: vec![SocketAddr::new(ip(number, 1), 20_080)],
            placed: Some(SocketAddr::new(ip(number, 1), 20_082)),
            // Like the kernel's sockets, whose address is the alias and not the listener's.
            handoff: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), HANDOFF_PORT + 10 * u16::from(number))),
            sticky: false,
            stages: true,
            gateway_host: ip(number, 2).to_string().parse().unwrap(),
            gateway_port: 8080,
            exporter: None,
            run_dir: dir.path().to_path_buf(),
            placed_for: None,
            program: "haproxy".into(),
            init: None,
            user: None,
            instance: Instance::Managed,
        };
        Self { settings, gateway, number, _dir: dir }
    }

    pub(crate) async fn start(&self, decision: &Decision) -> Proxy {
        Proxy::start(self.settings.clone(), decision).await.unwrap()
    }

    pub(crate) fn ip(&self, last: u8) -> IpAddr {
        ip(self.number, last)
    }

    pub(crate) fn service(&self) -> SocketAddr {
        self.settings.service[0]
    }

    pub(crate) fn placed(&self) -> SocketAddr {
        self.settings.placed.unwrap()
    }

    /// The hand-off listener under the alias of peer A or another address.
    pub(crate) fn handoff(&self, last: u8) -> SocketAddr {
        SocketAddr::new(self.ip(last), self.settings.handoff.unwrap().port())
    }

    /// Where peer A (11) or B (12) has its proxy.
    pub(crate) fn peer_address(&self, last: u8) -> SocketAddr {
        SocketAddr::new(self.ip(last), 20_080)
    }

    /// A port for addresses that nodes share.
    pub(crate) fn port(&self) -> u16 {
        21_000 + u16::from(self.number)
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.settings.run_dir.join("haproxy.pid")
    }

    pub(crate) fn master_pid(&self) -> i32 {
        read_pid(&self.pid_file()).unwrap()
    }

    /// Waits until the worker would hand its tables to a successor: HAProxy 2.6 first looks for a predecessor of
    /// its own for some seconds, which ends with the two lowest flags of `show peers` set.
    pub(crate) async fn until_tables_are_handed_over(&self) {
        for _ in 0..600 {
            let peers = self.ask_runtime("show peers").await;
            let flags = peers.split_once("flags=0x").and_then(|(_, rest)| rest.split_whitespace().next());
            if flags.and_then(|flags| u32::from_str_radix(flags, 16).ok()).is_some_and(|flags| flags & 3 == 3) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the tables are not ready to be handed over");
    }

    pub(crate) async fn ask_runtime(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.settings.run_dir.join("runtime.sock")).await.unwrap();
        socket.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Both peers, with their calls from .11/.12, and aliases .21/.22.
    pub(crate) fn decision(&self, functions: &[(&str, FunctionTable)]) -> Decision {
        let peers = [(PEER_A, 11), (PEER_B, 12)].map(|(id, last)| {
            let endpoint = PeerEndpoint {
                host: self.ip(last).to_string().parse().unwrap(),
                proxy: (self.ip(last), 20_080).into(),
                addresses: vec![self.ip(last)],
                alias: Some(self.ip(last + 10)),
            };
            (id.parse().unwrap(), endpoint)
        });
        let functions = functions.iter().map(|(name, table)| (name.parse().unwrap(), table.clone())).collect();
        Decision { version: 1, functions, peers: peers.into() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // What a test left running, or a failed one could not stop. The worker ends with its master.
        if let Some(pid) = read_pid(&self.pid_file()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
    }
}

fn read_pid(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Every process of tests, and every node in it, has loopback addresses of its own.
fn ip(node: u8, last: u8) -> IpAddr {
    let process = (std::process::id() % 250) as u8 + 2;
    IpAddr::V4(Ipv4Addr::new(127, process, node, last))
}

pub(crate) fn local_first(limit: Option<f64>) -> FunctionTable {
    FunctionTable {
        deployed: true,
        local_limit: limit,
        shape: Shape::LocalFirst,
        weights: Weights::default(),
        limits_out: [].into(),
        limits_in: [].into(),
        timeout: None,
    }
}

pub(crate) fn weighted(local: u32, reject: u32, peers: &[(&str, u32)]) -> FunctionTable {
    FunctionTable {
        shape: Shape::Weighted,
        ..to_peers(
            FunctionTable { weights: Weights { local, reject, ..Weights::default() }, ..local_first(None) },
            peers,
        )
    }
}

pub(crate) fn to_peers(mut table: FunctionTable, peers: &[(&str, u32)]) -> FunctionTable {
    table.weights.peers = peers.iter().map(|(id, weight)| (id.parse().unwrap(), *weight)).collect();
    table.limits_out = peers.iter().map(|(id, _)| (id.parse().unwrap(), 1_000.0)).collect();
    table
}

pub(crate) fn accepting(mut table: FunctionTable, peer: &str, limit: f64) -> FunctionTable {
    table.limits_in.insert(peer.parse().unwrap(), limit);
    table
}

pub(crate) fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

pub(crate) fn node_id(id: &str) -> NodeId {
    id.parse().unwrap()
}
