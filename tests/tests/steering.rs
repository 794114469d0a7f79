//! The kernel path alone: two nodes with HAProxy and tables written by hand, one client, real connections.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use dfaas_agent::kernel::{mode::XdpPlace, object};
use dfaas_common::{
    limit::Limit,
    route::{LOCAL_FIRST, SLOT_LOCAL, SLOT_REFUSE, fill_slots},
    verdict::Verdict,
};
use dfaas_tests::{
    network::Host,
    pair::{CLIENT, HANDOFF, OTHER, PLACED, Pair},
};

/// The pair with its proxies, which end first.
struct Bed {
    haproxy: Vec<Option<Child>>,
    pair: Pair,
    directory: tempfile::TempDir,
}

impl Drop for Bed {
    fn drop(&mut self) {
        (0..self.haproxy.len()).for_each(|node| self.stop_haproxy(node));
    }
}

impl Bed {
    fn new(third: u8, place: XdpPlace) -> Result<Self> {
        let prefix = format!("st{}-{third}", std::process::id());
        let pair = Pair::new(&prefix, [10, 91, third], object::embedded()?, place)?;
        let directory = tempfile::tempdir()?;
        let mut bed = Self { haproxy: Vec::new(), pair, directory };
        for node in 0..bed.pair.nodes.len() {
            let host = &bed.pair.network.hosts[node];
            bed.haproxy.push(Some(start_haproxy(host, node, bed.directory.path())?));
            await_listeners(host)?;
        }
        Ok(bed)
    }

    fn stop_haproxy(&mut self, node: usize) {
        if let Some(mut child) = self.haproxy[node].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Status of a call from the client, who served it on which listener, and whom that listener took for the client.
    fn call(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.pair.network.hosts[0].address);
        let told = "%{http_code} %header{x-node}%header{x-listener} %header{x-source}";
        let client = &self.pair.network.hosts[CLIENT].namespace;
        let output =
            client.command("curl").args(["-s", "-o", "/dev/null", "-m", "10", "-w", told]).arg(url).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn expect(&self, path: &str, want: &str) -> Result<()> {
        let got = self.call(path)?;
        if got == want {
            return Ok(());
        }
        bail!("{path}: got {got:?}, expected {want:?}; {}", self.verdicts()?.join(", "));
    }

    /// What happened to packets so far.
    fn verdicts(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (i, node) in self.pair.nodes.iter().enumerate() {
            let happened = node.tables.verdicts()?.into_iter().filter(|(_, n)| *n > 0);
            lines.extend(happened.map(|(verdict, n)| format!("n{} {} {n}", i + 1, verdict.name())));
        }
        Ok(lines)
    }

    fn count(&self, node: usize, verdict: Verdict) -> Result<u64> {
        Ok(self.pair.nodes[node].tables.verdicts()?[verdict.number() as usize].1)
    }
}

fn start_haproxy(host: &Host, node: usize, directory: &Path) -> Result<Child> {
    let path = directory.join(format!("haproxy{node}.cfg"));
    let front = |name: &str, address: &str| {
        format!(
            "frontend {name}\n bind {address}\n http-request return status 200 hdr X-Node n{} hdr X-Listener {name} \
             hdr X-Source %[src] content-type text/plain string ok\n",
            node + 1
        )
    };
    let defaults = "defaults\n mode http\n timeout client 60s\n timeout connect 60s\n timeout server 60s\n";
    let fronts = [
        front("placed", &PLACED.to_string()),
        front("handoff", &HANDOFF.to_string()),
        front("service", &format!("{}:80", host.address)),
    ];
    std::fs::write(&path, format!("global\n nbthread 1\n{defaults}{}", fronts.concat()))?;
    Ok(host.namespace.command("haproxy").arg("-f").arg(&path).stdout(Stdio::null()).spawn()?)
}

fn await_listeners(host: &Host) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while host.namespace.run("ss -Hltn")?.lines().count() < 3 {
        if Instant::now() > deadline {
            bail!("haproxy does not listen");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn connections_are_steered(third: u8, place: XdpPlace) -> Result<()> {
    let mut bed = Bed::new(third, place)?;
    let client = bed.pair.network.hosts[CLIENT].address;
    let [here, there, proxy] = ["n1placed", "n2handoff", "n1service"].map(|by| format!("200 {by} {client}"));
    bed.pair.route(0, "here", 0, |_| {})?;
    bed.pair.route(0, "there", 1, |r| r.slots = fill_slots(&[(OTHER, 1)]))?;
    bed.pair.route(1, "there", 0, |_| {})?;
    bed.pair.route(0, "nowhere", 2, |r| r.slots = fill_slots(&[(SLOT_REFUSE, 1)]))?;
    bed.pair.route(0, "split", 3, |r| {
        r.shape = LOCAL_FIRST;
        r.local = Limit::new(1.0, 0);
        r.slots = fill_slots(&[(OTHER, 1)]);
    })?;
    bed.pair.route(1, "split", 1, |_| {})?;
    bed.pair.route(0, "gone", 4, |r| r.slots = fill_slots(&[(OTHER, 1), (SLOT_LOCAL, 1)]))?;
    bed.expect("/function/here", &here)?;
    bed.expect("/function/unheard-of", &proxy)?;
    bed.expect("/other", &proxy)?;
    bed.expect("/function/there", &there)?;
    bed.expect("/function/nowhere", "429")?;
    bed.expect("/function/split", &here)?;
    bed.expect("/function/split", &there)?;
    // The peer does not run it: it comes back.
    for _ in 0..4 {
        bed.expect("/function/gone", &here)?;
    }
    assert!(bed.count(0, Verdict::BouncedToLocal)? >= 1);
    for _ in 0..50 {
        bed.expect("/function/there", &there)?;
    }
    // Both ends have finished: nothing is left in the table of live connections.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(bed.pair.nodes[0].tables.forwarded().count(), 0);
    assert!(bed.pair.nodes[0].tables.decided().count() > 50);
    bed.stop_haproxy(1);
    bed.expect("/function/gone", &here)?;
    bed.expect("/function/there", "429")?;
    bed.stop_haproxy(0);
    bed.expect("/function/here", "503")
}

#[test]
fn connections_are_steered_native() {
    connections_are_steered(1, XdpPlace::Native).unwrap();
}

#[test]
fn connections_are_steered_generic() {
    connections_are_steered(2, XdpPlace::Generic).unwrap();
}
