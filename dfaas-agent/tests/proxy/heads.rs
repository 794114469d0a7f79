//! The same heads to the kernel's reader, HAProxy and the embedded gateway: none is more permissive than HAProxy, and all
//! mean the same function. HAProxy stands before an embedded gateway here, as it does in a node.

mod grammar;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use dfaas_agent::{
    platform::{
        Credentials, Password,
        embedded::{Embedded, RunnerSettings},
    },
    proxy::Proxy,
};
use dfaas_common::http::{MIN_REQUEST_LEN, Name, cut, prefix_len};
use futures::{StreamExt as _, stream};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::timeout,
};

use self::grammar::head;
use crate::harness::{Node, local_first, weighted};

const PATIENCE: Duration = Duration::from_mins(1);

static EXCHANGES: AtomicU32 = AtomicU32::new(0);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// An answer that is none of the function's, or none at all (0).
    Refused(u16),
    /// The reader understood it as a call of this function.
    Call(&'static str),
}

/// HAProxy before a gateway with the function `beta`, which shows its environment, and a gateway that is full: it has
/// read and understood a call when it refuses it for that.
struct Bed {
    node: Node,
    _proxy: Proxy,
    _gateway: Embedded,
    full: Embedded,
}

async fn gateway(functions: &[(&str, &str, &str)]) -> Embedded {
    let credentials = Credentials { user: "admin".to_owned(), password: Password::Text("secret".to_owned()) };
    let address = "127.0.0.1:0".parse().unwrap();
    let settings = RunnerSettings { address, deploy_shipped: false, max_calls: 64, ..RunnerSettings::new(credentials) };
    let gateway = Embedded::start(settings).await.unwrap();
    let url = format!("http://{}/system/functions", gateway.address());
    for (name, command, max_inflight) in functions {
        let vars = json!({"marker": name, "max_inflight": max_inflight, "exec_timeout": "10h"});
        let deployment = json!({"service": name, "image": "none", "envProcess": command, "envVars": vars});
        let request = reqwest::Client::new().post(&url).basic_auth("admin", Some("secret")).json(&deployment);
        assert!(request.send().await.unwrap().status().is_success());
    }
    gateway
}

impl Bed {
    async fn new() -> Self {
        let gateway = [self::gateway(&[("beta", "env", "0")]).await, full_gateway().await];
        let [gateway, full] = gateway;
        let mut node = Node::new().await;
        node.settings.gateway_host = gateway.address().ip().to_string().parse().unwrap();
        node.settings.gateway_port = gateway.address().port();
        let proxy = node.start(&node.decision(&[("alpha", weighted(0, 1, &[])), ("beta", local_first(None))])).await;
        Self { node, _proxy: proxy, _gateway: gateway, full }
    }

    /// `alpha` is refused as one that is full, `beta` answers itself, others are unknown.
    async fn haproxy(&self, head: &[u8]) -> Fate {
        let (status, answer) = exchange(self.node.service(), head).await;
        match status {
            429 => Fate::Call("alpha"),
            404 => Fate::Call(""),
            200 if answer.contains("marker=beta") => {
                assert!(!answer.to_ascii_lowercase().contains("http_proxy="), "{}: {answer}", show(head));
                let path = answer.lines().find_map(|line| line.strip_prefix("Http_Path=")).unwrap_or_default();
                assert!(path.starts_with('/'), "{}: {answer}", show(head));
                assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{}: {path}", show(head));
                Fate::Call("beta")
            }
            200 if is_head(head) => Fate::Call("beta"),
            status => Fate::Refused(status),
        }
    }

    async fn gateway(&self, head: &[u8]) -> Fate {
        match exchange(self.full.address(), head).await.0 {
            429 => Fate::Call("alpha"),
            503 => Fate::Call("beta"),
            status => Fate::Refused(status),
        }
    }
}

/// `alpha` has all its calls in flight, `beta` the node's.
async fn full_gateway() -> Embedded {
    let functions = [("alpha", "sleep 1000", "1"), ("beta", "sleep 1000", "0")];
    let gateway = gateway(&functions).await;
    for i in 0..64 {
        let name = functions[usize::from(i > 0)].0;
        let call = reqwest::Client::new().get(format!("http://{}/function/{name}", gateway.address()));
        tokio::spawn(call.send());
    }
    let started = || gateway.calls().values().map(|calls| calls.started).sum::<u64>();
    for _ in 0..3_000 {
        if started() == 64 {
            return gateway;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} of 64 calls have started", started());
}

/// The status and text of the first final answer; 0 if the connection ends without one.
async fn exchange(to: SocketAddr, head: &[u8]) -> (u16, String) {
    let talk = async {
        // From many addresses: one has 28,000 ports, each of which rests for a minute.
        let n = EXCHANGES.fetch_add(1, Relaxed);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 253, (n >> 21) as u8, (n >> 13) as u8], 0))).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // A server that has refused resets the connection under a client that still writes.
        let _ = stream.write_all(head).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = timeout(PATIENCE, talk).await.unwrap_or_else(|_| panic!("no end: {}", show(head)));
    let mut rest = answer.as_slice();
    loop {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").map_or(rest.len(), |at| at + 4);
        let (lines, body) = rest.split_at(end);
        let lines = String::from_utf8_lossy(lines).to_ascii_lowercase();
        let status = lines.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        if status == 100 {
            rest = body;
            continue;
        }
        // Without what may follow: the answer to what the server took for a second request.
        let length = lines.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length = if is_head(head) { 0 } else { length.unwrap_or(body.len()).min(body.len()) };
        return (status, String::from_utf8_lossy(&body[..length]).into_owned());
    }
}

fn is_head(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"HEAD")
}

/// What the kernel does with the first packet: sixteen bytes, then up to 64 from the name on.
fn kernel(head: &[u8]) -> Option<String> {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| *head.get(at + i).unwrap_or(&0)));
    if head.len() < MIN_REQUEST_LEN as usize {
        return None;
    }
    let prefix = prefix_len(word(0), word(8)) as usize;
    let mut name = Name(std::array::from_fn(|i| word(prefix + 8 * i)));
    let is_name = prefix != 0 && cut(&mut name);
    is_name.then(|| String::from_utf8_lossy(&name.bytes()).trim_end_matches('\0').to_owned())
}

fn show(head: &[u8]) -> String {
    let text = head.escape_ascii().to_string();
    if text.len() > 600 { format!("{}… ({} bytes)", &text[..600], head.len()) } else { text }
}

/// What is wrong about these three fates of one head, if anything.
fn fault(head: &[u8], kernel: Option<&str>, haproxy: Fate, gateway: Fate) -> Option<&'static str> {
    if let (Some(name), Fate::Call(served)) = (kernel, haproxy)
        && (if matches!(name, "alpha" | "beta") { name } else { "" }) != served
    {
        return Some("the kernel and HAProxy read different names");
    }
    match (haproxy, gateway) {
        // With the namespace behind it the gateway knows the name, too; HAProxy does not, and calls nothing.
        (Fate::Call(""), Fate::Call(_)) if head.windows(12).any(|part| part == b".openfaas-fn") => None,
        (Fate::Call(one), Fate::Call(other)) if one != other => Some("HAProxy and the gateway read different names"),
        // The gateway leaves room for the lines that HAProxies on the way add.
        (Fate::Refused(431), Fate::Call(_)) if head.len() < (15 << 10) => None,
        (Fate::Refused(_), Fate::Call(_)) if !is_leniency(head) => Some("the gateway takes what HAProxy refuses"),
        _ => None,
    }
}

/// What the gateway may take from a local process that goes past HAProxy: a fragment, which its parser leaves out of path and
/// query, so that no rule about them is got around; the name of a peer, which is not the head's fault; and a wrong `Content-Length` beside
/// `Transfer-Encoding`, which its parser drops as RFC 9112 (6.3) has it.
fn is_leniency(head: &[u8]) -> bool {
    let mut lines = head.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n'));
    let has_fragment = lines.next().is_some_and(|line| line.contains(&b'#'));
    let lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_ascii_lowercase).collect();
    let has = |name: &str| lines.iter().any(|line| line.starts_with(name.as_bytes()));
    has_fragment || has("dfaas-node-id") || has("transfer-encoding") && has("content-length")
}

async fn compare(seed: u64, count: usize) {
    let bed = Bed::new().await;
    let mut random = StdRng::seed_from_u64(seed);
    let heads: Vec<Vec<u8>> = (0..count).map(|_| head(&mut random)).collect();
    let bed = &bed;
    let judged = stream::iter(heads).map(|head| async move {
        let (haproxy, gateway) = tokio::join!(bed.haproxy(&head), bed.gateway(&head));
        let kernel = kernel(&head);
        let fault = fault(&head, kernel.as_deref(), haproxy, gateway);
        let fault = fault.map(|what| format!("{what}: {kernel:?} {haproxy:?} {gateway:?}: {}", show(&head)));
        (haproxy, fault)
    });
    let judged: Vec<_> = judged.buffer_unordered(16).collect().await;
    let mut fates: BTreeMap<String, usize> = BTreeMap::new();
    for (fate, _) in &judged {
        *fates.entry(format!("{fate:?}")).or_default() += 1;
    }
    let faults: Vec<_> = judged.iter().filter_map(|(_, fault)| fault.as_ref()).collect();
    assert!(faults.is_empty(), "{} of {count}: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    // The grammar is no use if all is refused, or nothing.
    for fate in ["Call(\"alpha\")", "Call(\"beta\")", "Call(\"\")", "Refused(400)", "Refused(403)", "Refused(501)"] {
        assert!(fates.get(fate).is_some_and(|seen| *seen > count / 500), "{fates:?}");
    }
    eprintln!("{count} heads: {fates:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_of_a_head_is_more_permissive_than_haproxy() {
    let count = std::env::var("DFAAS_HEADS").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000);
    compare(1, count).await;
}
