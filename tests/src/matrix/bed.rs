//! Guests on a bridge of their own with a client beside them, and the agents in them.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use dfaas_agent::{kernel::mode::XdpPlace, status::Status};

use super::{
    guest::{Guest, Plan},
    image,
    kernel::Kernel,
    nic::Nic,
};
use crate::{
    federation::lease::Lease,
    netns::{Entrance, Namespace},
    stop::Stop,
};

const SUBNET: [u8; 3] = [10, 78, 0];
const CLIENT: u8 = 200;
const OVERLAY_PORT: u16 = 31600;
/// For a command that does next to nothing.
const SHORT: Duration = Duration::from_mins(1);
/// For agents to start and to see each other: an unoptimised program on an emulated processor.
const SETTLE: Duration = Duration::from_mins(4);
const POLL: Duration = Duration::from_millis(500);
const STATUS: &str = "wget -q -O - http://127.0.0.1:8090/status";
/// Where each thread of the agent waits in the kernel.
const THREADS: &str = "for t in /proc/$(pidof dfaas-agent)/task/*; do echo $(cat $t/comm $t/stat); cat $t/stack; done";
const AGENT_LOG: &str = "/tmp/agent.log";

/// What the functions of each node may take, calls per second: `figlet` is served by both, `shasum` by the second
/// alone, `ocr` by the first alone, and `env` is what refusals are tried with.
const LIMITS: [&str; 2] = ["figlet=200,shasum=0,ocr=200,env=1", "figlet=200,shasum=200,ocr=0,env=1"];
/// An emulated machine may stand still for seconds: its peer is not to take it for dead.
const PATIENCE: &str = "--peer-timeout 60s --grant-lifetime 5m --burst 2s";
/// A guest has neither rules of a firewall nor the program that reads them.
const NO_FIREWALL: &str = "--firewall off";
/// A node without another one serves all.
const LIMITS_ALONE: &str = "figlet=200,shasum=200,ocr=200,env=1";

/// What is to be set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub kernel: Kernel,
    /// Of the first node and, if there is one, of the second.
    pub nics: Vec<Nic>,
    /// `None`: native, else generic.
    pub xdp: Option<XdpPlace>,
    /// Its program, by name or file.
    pub qemu: String,
    /// The agent's program.
    pub agent: PathBuf,
    /// For the logs of the guests.
    pub logs: PathBuf,
}

pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) address: Ipv4Addr,
    guest: Guest,
}

pub(super) struct Bed {
    // First: the guests end before their network goes.
    pub(super) nodes: Vec<Node>,
    namespace: Namespace,
    stop: Stop,
    run: tempfile::TempDir,
    // Last: whoever finds it free removes what has this prefix.
    _lease: Lease,
}

impl Bed {
    /// Boots the guests and starts the agents in them, until all of them are ready and see each other.
    pub(super) fn start(setup: &Setup, stop: &Stop, say: &dyn Fn(&str)) -> Result<Self> {
        fs::create_dir_all(&setup.logs).with_context(|| format!("cannot make {}", setup.logs.display()))?;
        let lease = Lease::take()?;
        let run = tempfile::tempdir()?;
        let archive = run.path().join("archive");
        say("making the guests' file system");
        fs::write(&archive, image::build(&setup.kernel, &setup.nics, &setup.agent)?)?;
        let namespace = network(&lease)?;
        let mut bed = Self { nodes: Vec::new(), namespace, stop: stop.clone(), run, _lease: lease };
        for (i, nic) in setup.nics.iter().enumerate() {
            bed.add(i, *nic, setup, &archive)?;
        }
        say("booting");
        bed.nodes.iter_mut().try_for_each(|node| node.guest.wait_ready())?;
        say("starting the agents");
        bed.start_agents(setup.xdp)?;
        Ok(bed)
    }

    fn add(&mut self, i: usize, nic: Nic, setup: &Setup, archive: &Path) -> Result<()> {
        let name = ["n1", "n2"][i];
        let tap = format!("tap-{name}");
        let queues = if nic.queues > 1 { " multi_queue" } else { "" };
        self.namespace.run(&format!("ip tuntap add {tap} mode tap{queues}"))?;
        self.namespace.run(&format!("ip link set {tap} master br0 up"))?;
        let address = address(i as u8 + 1);
        let plan = Plan {
            name,
            qemu: &setup.qemu,
            address,
            kernel: setup.kernel.image(),
            archive,
            nic,
            tap: &tap,
            logs: &setup.logs,
            run: self.run.path(),
        };
        let guest = Guest::start(&plan, &self.namespace)?;
        self.nodes.push(Node { name, address, guest });
        Ok(())
    }

    fn start_agents(&mut self, xdp: Option<XdpPlace>) -> Result<()> {
        let mut bootstrap = String::new();
        let pair = self.nodes.len() > 1;
        for i in 0..self.nodes.len() {
            let limits = if pair { LIMITS[i] } else { LIMITS_ALONE };
            self.nodes[i].start_agent(limits, xdp, &bootstrap)?;
            let status = self.wait(|nodes| ready(&mut nodes[i]))?;
            if i == 0 {
                let peer = format!("/ip4/{}/tcp/{OVERLAY_PORT}/p2p/{}", self.nodes[0].address, status.node);
                bootstrap = format!("--bootstrap-nodes true --bootstrap-nodes-list {peer}");
            }
        }
        if pair { self.wait(settled) } else { Ok(()) }
    }

    /// Asks again and again until there is an answer.
    fn wait<T>(&mut self, ask: impl Fn(&mut [Node]) -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + SETTLE;
        loop {
            self.stop.check()?;
            let why = match ask(&mut self.nodes) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => "not ready".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > deadline {
                let logs: Vec<String> = self.nodes.iter_mut().map(Node::last_lines).collect();
                bail!("after {SETTLE:?}: {why}\n{}", logs.join("\n"));
            }
            thread::sleep(POLL);
        }
    }

    /// The way into the client's namespace.
    pub(super) fn client(&self) -> Result<Entrance> {
        self.namespace.entrance()
    }

    pub(super) fn url(&self, node: usize, path: &str) -> String {
        format!("http://{}{path}", self.nodes[node].address)
    }

    pub(super) fn status(&mut self, node: usize) -> Result<Status> {
        self.nodes[node].status()
    }

    pub(super) fn check(&self) -> Result<()> {
        self.stop.check()
    }
}

impl Setup {
    /// Kernel and interfaces.
    pub(super) fn title(&self) -> String {
        let nics: Vec<&str> = self.nics.iter().map(|nic| nic.name).collect();
        format!("{} {}", self.kernel.release, nics.join(" + "))
    }
}

impl Node {
    fn start_agent(&mut self, limits: &str, xdp: Option<XdpPlace>, bootstrap: &str) -> Result<()> {
        let xdp = xdp.map_or("auto".to_owned(), |place| place.to_string());
        let line = format!(
            "RUST_BACKTRACE=1 dfaas-agent run --interface eth0 --xdp {xdp} --platform embedded \
             --rate-limits {limits} {PATIENCE} {NO_FIREWALL} {bootstrap} > {AGENT_LOG} 2>&1 &"
        );
        self.guest.run(&line, SHORT).map(drop)
    }

    pub(super) fn status(&mut self) -> Result<Status> {
        let text = self.guest.run(STATUS, SHORT)?;
        serde_json::from_str(text.trim()).with_context(|| format!("status of {}", self.name))
    }

    /// Instructions that this kernel's verifier went through, by program. Told by the kernel of programs that the agent
    /// has open; names are bpftool's, and none are told in a guest without it.
    pub(super) fn verified(&mut self) -> BTreeMap<String, u64> {
        let mut ask = |line| self.guest.run(line, SHORT).unwrap_or_default();
        let counts = ask("cat /proc/$(pidof dfaas-agent)/fdinfo/* | grep -E '^(prog_id|verified_insns)'");
        verified_in(&counts, &ask("bpftool -j prog show"))
    }

    /// Writes down what the agent has said and how it is.
    pub(super) fn keep_log(&mut self, folder: &Path) -> Result<()> {
        let lines = [
            format!("tail -n 200 {AGENT_LOG}"),
            "dmesg | tail -n 30".to_owned(),
            THREADS.to_owned(),
            STATUS.to_owned(),
        ];
        let texts = lines.map(|line| self.guest.run(&line, SHORT).unwrap_or_else(|error| format!("{error:#}")));
        let file = folder.join(format!("{}.agent", self.name));
        fs::write(&file, texts.join("\n")).with_context(|| format!("cannot write {}", file.display()))
    }

    /// For messages: the ends of the agent's log and of the machine's.
    fn last_lines(&mut self) -> String {
        let log = self.guest.run(&format!("tail -n 15 {AGENT_LOG}"), SHORT).unwrap_or_else(|e| format!("{e:#}"));
        format!("{}: {}\n{}", self.name, log.trim(), self.guest.last_lines())
    }
}

/// Every count belongs to the number that was told before it.
fn verified_in(counts: &str, programs: &str) -> BTreeMap<String, u64> {
    let programs: Vec<serde_json::Value> = serde_json::from_str(programs.trim()).unwrap_or_default();
    let name =
        |id: u64| programs.iter().find(|program| program["id"] == id).and_then(|program| program["name"].as_str());
    let (mut verified, mut id) = (BTreeMap::new(), 0);
    for (key, value) in counts.lines().filter_map(|line| line.split_once(':')) {
        match (key, value.trim().parse()) {
            ("prog_id", Ok(value)) => id = value,
            (_, Ok(value)) => verified.extend(name(id).map(|name| (name.to_owned(), value))),
            (_, Err(_)) => {}
        }
    }
    verified
}

/// Its status once it is ready.
fn ready(node: &mut Node) -> Result<Option<Status>> {
    let status = node.status()?;
    if status.ready {
        return Ok(Some(status));
    }
    let ill = status.components().into_iter().filter(|part| !part.healthy);
    let ill: Vec<String> = ill.map(|part| format!("{}: {}", part.kind, part.detail)).collect();
    bail!("{} is not ready: {}", node.name, ill.join("; "))
}

/// Every node sees every other one as up, and was granted what it does not serve itself.
fn settled(nodes: &mut [Node]) -> Result<Option<()>> {
    for (i, lacks) in ["shasum", "ocr"].iter().enumerate() {
        let status = nodes[i].status()?;
        let name = nodes[i].name;
        match status.peers.first() {
            Some(peer) if peer.state == "up" => {}
            peer => bail!("{name} sees its peer as {}, expected up", peer.map_or("absent", |peer| &peer.state)),
        }
        let granted = status.functions.iter().any(|(f, state)| f.as_str() == *lacks && !state.limits_out.is_empty());
        if !granted {
            bail!("{name} was granted nothing for {lacks}");
        }
    }
    Ok(Some(()))
}

fn network(lease: &Lease) -> Result<Namespace> {
    let namespace = Namespace::new(format!("{}-guests", lease.prefix()))?;
    namespace.run("ip link add br0 type bridge forward_delay 0")?;
    namespace.run(&format!("ip addr add {}/24 dev br0", address(CLIENT)))?;
    namespace.run("ip link set br0 up")?;
    Ok(namespace)
}

fn address(number: u8) -> Ipv4Addr {
    let [a, b, c] = SUBNET;
    Ipv4Addr::new(a, b, c, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_work_is_told_of_the_program_that_was_named_before_it() {
        let counts = "prog_id:\t7\nprog_id:\t2\nverified_insns:\t99\nprog_id:\t3\nverified_insns:\t5\n";
        let programs = r#"[{"id":2,"type":"xdp","name":"dfaas_xdp"},{"id":7,"name":"dfaas_tc_in"}]"#;
        assert_eq!(verified_in(counts, programs), BTreeMap::from([("dfaas_xdp".to_owned(), 99)]));
        assert!(verified_in("", "bpftool: not found").is_empty());
    }
}
