//! The foreign peer: js-libp2p in a process of its own, driven by JSON lines. `tests/interop` is its program.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use dfaas_agent::{
    name::NodeId,
    p2p::{DEFAULT_TOPIC, identity::Identity},
};
use dfaas_tests::{built, netns::Namespace};
use serde_json::{Value, json};

use crate::DEADLINE;

const PROGRAM: [(&str, &str); 4] = [
    ("peer.mjs", include_str!("../../interop/peer.mjs")),
    ("node.mjs", include_str!("../../interop/node.mjs")),
    ("events.mjs", include_str!("../../interop/events.mjs")),
    ("commands.mjs", include_str!("../../interop/commands.mjs")),
];

/// What the peer is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) listen: &'a str,
    /// In order of preference.
    pub(crate) security: &'a [&'a str],
    /// One that is not, only asks others: nobody meets it by walking the DHT.
    pub(crate) is_dht_server: bool,
    /// Key file; `None`: a new key.
    pub(crate) key: Option<&'a str>,
    /// A node that must come by itself: it is never dialled.
    pub(crate) awaits: Option<&'a str>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { listen: "/ip4/127.0.0.1/tcp/0", security: &["noise"], is_dht_server: true, key: None, awaits: None }
    }
}

pub(crate) struct ForeignPeer {
    pub(crate) id: NodeId,
    /// With the id at the end.
    pub(crate) address: String,
    said: Arc<Said>,
    input: Option<ChildStdin>,
    commands: u64,
    child: Child,
    _home: tempfile::TempDir,
}

/// Everything the peer has said so far.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<Value>>,
    more: Condvar,
}

impl ForeignPeer {
    /// On this host.
    pub(crate) fn here(setup: Setup) -> Self {
        Self::start(setup, |command| command.spawn().unwrap())
    }

    pub(crate) fn inside(namespace: &Namespace, setup: Setup) -> Self {
        Self::start(setup, |command| namespace.spawn(command).unwrap())
    }

    fn start(setup: Setup, spawn: impl FnOnce(&mut Command) -> Child) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in PROGRAM {
            fs::write(home.path().join(name), text).unwrap();
        }
        symlink(modules(), home.path().join("node_modules")).unwrap();
        let key = home.path().join("key.pem");
        if let Some(text) = setup.key {
            fs::write(&key, text).unwrap();
        }
        let identity = Identity::load_or_create(&key).unwrap();
        let settings = json!({
            "key": key, "listen": setup.listen, "security": setup.security, "topic": DEFAULT_TOPIC,
            "isDhtServer": setup.is_dht_server, "awaits": setup.awaits,
        });
        let mut command = Command::new("node");
        command.arg(home.path().join("peer.mjs")).arg(settings.to_string());
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let said = Arc::new(Said::default());
        listen(child.stdout.take().unwrap(), Arc::clone(&said));
        let input = child.stdin.take();
        let mut peer =
            Self { id: identity.node_id, address: String::new(), said, input, commands: 0, child, _home: home };
        let started = peer.wait_event("started", |_| true);
        assert_eq!(started["id"], peer.id.as_str(), "it makes the same id of a key file as we do");
        started["addresses"][0].as_str().unwrap().clone_into(&mut peer.address);
        peer
    }

    /// Has it do something, and waits for the answer.
    pub(crate) fn obey(&mut self, what: &str, arguments: Value) -> Result<Value, String> {
        self.commands += 1;
        let id = self.commands;
        let mut command = arguments;
        command["do"] = what.into();
        command["id"] = id.into();
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let answer = self.wait(what, |line| line["answer"] == id);
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["result"].clone()),
        }
    }

    pub(crate) fn dial(&mut self, address: &str) -> Value {
        self.obey("dial", json!({ "address": address })).unwrap_or_else(|error| panic!("dial {address}: {error}"))
    }

    /// Publishes, again until somebody takes it: that a neighbour listens on the topic is known a moment later only.
    pub(crate) fn publish(&mut self, bytes: &[u8]) {
        let arguments = json!({ "bytes": base64(bytes) });
        let begun = Instant::now();
        while self.obey("publish", arguments.clone()).unwrap()["recipients"] == 0 {
            assert!(begun.elapsed() < DEADLINE, "nobody listens on the topic");
            thread::sleep(crate::POLL);
        }
    }

    /// True if it has heard a message of this peer.
    pub(crate) fn has_heard(&self, from: &NodeId) -> bool {
        let lines = self.said.lines.lock().unwrap();
        lines.iter().any(|line| line["event"] == "message" && line["from"] == from.as_str())
    }

    /// How much it has said: what comes later is after this.
    pub(crate) fn mark(&self) -> usize {
        self.said.lines.lock().unwrap().len()
    }

    /// The first event of this kind that `pick` takes, from the start on.
    pub(crate) fn wait_event(&self, event: &str, pick: impl Fn(&Value) -> bool) -> Value {
        self.wait(event, |line| line["event"] == event && pick(line))
    }

    /// The first message of `from` after a mark that `pick` takes.
    pub(crate) fn wait_message(&self, from: &NodeId, after: usize, pick: impl Fn(&Value) -> bool) -> Value {
        let is_it = |line: &Value| line["event"] == "message" && line["from"] == from.as_str() && pick(line);
        self.wait_after("message", after, is_it)
    }

    pub(crate) fn wait_connected(&self, peer: &NodeId) -> Value {
        self.wait_event("connected", |line| line["peer"] == peer.as_str())
    }

    fn wait(&self, what: &str, pick: impl Fn(&Value) -> bool) -> Value {
        self.wait_after(what, 0, pick)
    }

    fn wait_after(&self, what: &str, after: usize, pick: impl Fn(&Value) -> bool) -> Value {
        let mut lines = self.said.lines.lock().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(line) = lines.iter().skip(after).find(|line| pick(line)) {
                return line.clone();
            }
            let left = DEADLINE.saturating_sub(begun.elapsed());
            assert!(!left.is_zero(), "the foreign peer never said: {what}; it said {:#?}", &*lines);
            lines = self.said.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Ends it; it must do so without complaint.
    pub(crate) fn stop(mut self) {
        drop(self.input.take());
        self.wait_event("stopped", |_| true);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the foreign peer ended with {status}");
    }
}

impl Drop for ForeignPeer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(output: ChildStdout, said: Arc<Said>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.lines.lock().unwrap().push(serde_json::from_str(&line).unwrap_or_else(|_| json!({ "noise": line })));
            said.more.notify_all();
        }
    });
}

/// What npm has installed.
fn modules() -> PathBuf {
    let modules = built::target().unwrap().join("interop/node_modules");
    assert!(modules.is_dir(), "no {}: `cargo xtask test interop` installs the foreign peer", modules.display());
    modules
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(bytes)
}
