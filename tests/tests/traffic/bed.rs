//! The nodes that the tests call, and what each test needs to know of them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use dfaas_agent::kernel::{mode::XdpPlace, pins::Pins, tables::Tables};
use dfaas_common::verdict::Verdict;
use dfaas_tests::{
    built,
    client::{Answer, Call, Piece, exchange},
    federation::{Federation, Options},
    netns::Entrance,
};
use reqwest::Method;
use serde_json::json;

/// Calls per second: more than any test makes.
pub(crate) const PLENTY: u32 = 1_000_000;
/// Nobody waits longer for anything here: what is later hangs.
pub(crate) const HANG: Duration = Duration::from_mins(1);
const PLATFORM: &str = "http://127.0.0.1:8080/system/functions";

/// Nodes with functions that give back what they get (`cat`):
///
/// * `near` runs on n1
/// * `far` runs on n1 and n2, but n1's limit is 0
/// * `full` runs on n1, its limit is 0
pub(crate) struct Bed {
    pub(crate) federation: Federation,
    pub(crate) client: Entrance,
    directory: PathBuf,
}

impl Bed {
    pub(crate) fn new(nodes: usize, place: XdpPlace) -> Result<Self> {
        Self::with(nodes, |options| options.xdp = Some(place))
    }

    pub(crate) fn with(nodes: usize, change: impl FnOnce(&mut Options)) -> Result<Self> {
        let agent = agent()?;
        let mut options = Options::new(&agent, &built::target()?.join("tmp/traffic"));
        options.nodes = nodes;
        // Two processors and many nodes: nobody is silent because others compute.
        options.settings.insert("AGENT_PEER_TIMEOUT".to_owned(), "15s".to_owned());
        change(&mut options);
        let federation = Federation::start(options, &|_| {})?;
        let (client, directory) = (federation.client()?, federation.directory().to_owned());
        let bed = Self { federation, client, directory };
        bed.federation.wait_settled(HANG)?;
        bed.deploy(0, "near", "cat", PLENTY)?;
        bed.deploy(0, "far", "cat", 0)?;
        bed.deploy(1, "far", "cat", PLENTY)?;
        bed.deploy(0, "full", "cat", 0)?;
        bed.wait_for("near", Some(0))?;
        bed.wait_for("far", Some(1))?;
        bed.wait_for("full", None)?;
        Ok(bed)
    }

    /// Deploys a function, or replaces it, through the platform of a node.
    pub(crate) fn deploy(&self, node: usize, function: &str, command: &str, rate: u32) -> Result<()> {
        let deployment = json!({ "service": function, "envProcess": command, "image": "",
                                 "labels": { "dfaas.maxrate": rate.to_string() } });
        self.change(node, Method::PUT, &deployment.to_string())
    }

    fn change(&self, node: usize, method: Method, body: &str) -> Result<()> {
        let password = self.federation.gateway_password(node)?;
        let mut call = Call::post(PLATFORM, body.to_owned()).timeout(HANG).as_admin(&password);
        call.method = method;
        let mut answer = call.send(&self.federation.host(node).namespace.entrance()?)?;
        if answer.status == 404 && call.method == Method::PUT {
            call.method = Method::POST;
            answer = call.send(&self.federation.host(node).namespace.entrance()?)?;
        }
        ensure!(answer.status < 300, "{body}: status {}: {}", answer.status, answer.text());
        Ok(())
    }

    /// Calls of a function that the platform of a node has started.
    pub(crate) fn started(&self, node: usize, function: &str) -> Result<u64> {
        let password = self.federation.gateway_password(node)?;
        let call = Call::get(format!("http://127.0.0.1:8080/system/function/{function}")).as_admin(&password);
        let answer = call.send(&self.federation.host(node).namespace.entrance()?)?;
        let status: serde_json::Value = serde_json::from_slice(&answer.body)?;
        status["invocationCount"].as_u64().with_context(|| format!("no count in {status}"))
    }

    /// Waits until calls of the function through n1's kernel reach this node, or are refused by it.
    pub(crate) fn wait_for(&self, function: &str, node: Option<usize>) -> Result<()> {
        let wanted = match node {
            None => Verdict::FirstRefused,
            Some(0) => Verdict::FirstToLocal,
            Some(_) => Verdict::FirstToPeer,
        };
        let deadline = Instant::now() + HANG;
        let (mut right, mut last) = (0, String::new());
        while right < 3 {
            if Instant::now() > deadline {
                let known = self.federation.status(0)?.functions;
                let known = known.iter().find(|(name, _)| name.as_str() == function);
                let counted = self.verdicts();
                bail!("{function} is not where it should be after {HANG:?}: {last}; n1 knows {known:?}\n{counted}");
            }
            let before = self.verdict(0, wanted)?;
            let answer = self.call(function, "x")?;
            let is_right = match node {
                None => answer.status == 429,
                Some(i) => answer.status == 200 && self.node_of(&answer) == Some(i),
            };
            last = format!("status {} by {:?}: {}", answer.status, self.node_of(&answer), answer.text());
            right = if is_right && self.verdict(0, wanted)? > before { right + 1 } else { 0 };
            if right == 0 {
                thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Waits until a call through n1's kernel is answered by this node; others may answer in between.
    pub(crate) fn wait_to_be_served(&self, function: &str, node: usize) -> Result<()> {
        let deadline = Instant::now() + HANG;
        while self.node_of(&self.call(function, "x")?) != Some(node) {
            ensure!(Instant::now() < deadline, "n{} does not serve {function}\n{}", node + 1, self.verdicts());
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until n1's kernel may give calls to this node, which knows the function.
    pub(crate) fn wait_to_be_given(&self, function: &str, node: usize) -> Result<()> {
        let id = &self.federation.nodes[node].id;
        self.federation.wait_until(HANG, |statuses| {
            let granted = statuses[0].1.functions.iter().any(|(name, f)| {
                name.as_str() == function && f.weights.contains_key(id) && f.limits_out.contains_key(id)
            });
            (!granted).then(|| format!("{} grants nothing for {function}", statuses[node].0))
        })?;
        // From the decision to the tables.
        thread::sleep(Duration::from_secs(1));
        Ok(())
    }

    pub(crate) fn path(function: &str) -> String {
        format!("/function/{function}")
    }

    pub(crate) fn url(&self, function: &str) -> String {
        self.federation.url(0, &Self::path(function))
    }

    /// Calls n1.
    pub(crate) fn call(&self, function: &str, body: impl Into<Vec<u8>>) -> Result<Answer> {
        Call::post(self.url(function), body.into()).timeout(HANG).send(&self.client)
    }

    /// Who has answered.
    pub(crate) fn node_of(&self, answer: &Answer) -> Option<usize> {
        self.federation.index_of(&answer.node()?)
    }

    /// Where clients connect to: n1.
    pub(crate) fn service(&self) -> SocketAddr {
        (self.federation.nodes[0].address, 80).into()
    }

    /// Sends pieces to n1 and reads until it closes.
    pub(crate) fn exchange(&self, pieces: &[Piece]) -> Result<Reply> {
        Ok(Reply(exchange(&self.client, self.service(), pieces, HANG)?))
    }

    pub(crate) fn tables(&self, node: usize) -> Result<Tables> {
        let node = &self.federation.nodes[node];
        Tables::open(&Pins::new(&node.pin_dir))?.with_context(|| format!("{} has no tables", node.name))
    }

    pub(crate) fn verdict(&self, node: usize, verdict: Verdict) -> Result<u64> {
        let verdicts = self.tables(node)?.verdicts()?;
        verdicts.iter().find(|(v, _)| *v == verdict).map(|(_, n)| *n).context("no such verdict")
    }

    /// Waits until no live forwarded connection is known to any node.
    pub(crate) fn wait_without_flows(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        for i in 0..self.federation.nodes.len() {
            let tables = self.tables(i)?;
            while tables.forwarded().next().is_some() {
                if Instant::now() > deadline {
                    let left: Vec<_> = tables.forwarded().take(5).collect();
                    let n = tables.forwarded().count();
                    bail!("n{} still holds {n} connections, such as {left:?}", i + 1);
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// For messages: what the kernels have counted.
    pub(crate) fn verdicts(&self) -> String {
        let line = |i: usize| -> Result<String> {
            let verdicts = self.tables(i)?.verdicts()?;
            let counted = verdicts.iter().filter(|(_, n)| *n > 0);
            let counted: Vec<_> = counted.map(|(verdict, n)| format!("{} {n}", verdict.name())).collect();
            Ok(format!("n{}: {}", i + 1, counted.join(", ")))
        };
        let lines: Result<Vec<_>> = (0..self.federation.nodes.len()).map(line).collect();
        lines.map_or_else(|error| format!("{error:#}"), |lines| lines.join("\n"))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the logs are in {}\n{}", self.directory.display(), self.verdicts());
        }
    }
}

/// The program beside the one that runs the tests.
fn agent() -> Result<PathBuf> {
    let agent = built::program("dfaas-agent")?;
    ensure!(agent.is_file(), "no agent at {}: run `cargo build -p dfaas-program`", agent.display());
    Ok(agent)
}

/// All that came on one connection.
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Statuses of all answers, in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let starts = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
        starts.collect()
    }

    /// Values of a header over all answers, in order.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
    }
}
