//! The kernel path alone: two nodes with HAProxy and tables written by hand, one client, real connections.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use dfaas_agent::kernel::{
    load::{self, KernelSettings},
    mode::{Mode, XdpPlace},
    object,
    pins::Pins,
    tables::Tables,
};
use dfaas_common::{
    address::raw_v4,
    cookie::Secret,
    http::Name,
    limit::{self, Limit},
    packet::{Be16, Be32},
    peer::{MAX_PEERS, Peer, Seal, UP},
    route::{LOCAL_FIRST, Route, SLOT_LOCAL, SLOT_REFUSE, WEIGHTED, fill_slots},
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE, Answer, Control},
    siphash::Key,
    verdict::Verdict,
};
use dfaas_tests::network::{Host, Network};

const NODES: usize = 2;
const CLIENT: usize = 2;

struct Node {
    tables: Tables,
    haproxy: Option<Child>,
    pins: Pins,
    _ebpf: aya::Ebpf,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop_haproxy();
        let _ = self.pins.remove_all();
    }
}

impl Node {
    fn stop_haproxy(&mut self) {
        if let Some(mut child) = self.haproxy.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Bed {
    nodes: Vec<Node>,
    network: Network,
    _directory: tempfile::TempDir,
}

fn mac(network: [u8; 3], number: u8) -> [u8; 6] {
    [2, 0, network[0], network[1], network[2], number]
}

fn alias(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(169, 254, 64, 1)) + number)
}

/// The seal that node `to` has drawn for node `from`.
fn seal(from: usize, to: usize) -> Seal {
    let n = (from * 10 + to) as u64;
    Seal { key: Key(n, n + 1), token: n + 2, epoch: 7, reserved: 0 }
}

impl Bed {
    fn new(third: u8, place: XdpPlace) -> Result<Self> {
        let bytes = [10, 91, third];
        let prefix = format!("st{}-{third}", std::process::id());
        let mut network = Network::new(&prefix, bytes, None)?;
        for (name, number) in [("n1", 1), ("n2", 2), ("c", 100)] {
            network.add_host(name, number)?;
        }
        let directory = tempfile::tempdir()?;
        let mut nodes = Vec::new();
        for i in 0..NODES {
            nodes.push(Self::node(&network, &prefix, i, place, directory.path())?);
        }
        for (i, node) in nodes.iter_mut().enumerate() {
            let other = 1 - i;
            let address = network.hosts[other].address;
            network.hosts[i].namespace.run(&format!("ip addr add {}/32 dev lo", alias(0)))?;
            let ifindex = network.hosts[i].namespace.run("cat /sys/class/net/eth0/ifindex")?.trim().parse()?;
            let peer = Peer {
                send: seal(i, other),
                receive: [seal(other, i), Seal::default()],
                expires_ns: u64::MAX,
                tunnel: Be32::from_raw(raw_v4(address)),
                service: Be32::from_raw(raw_v4(address)),
                alias: Be32::from_raw(raw_v4(alias(0))),
                ifindex,
                mac: mac(bytes, other as u8 + 1),
                service_port: Be16::new(80),
                state: UP,
                reserved2: 0,
            };
            node.tables.set_peer(0, &peer)?;
            node.tables.set_peer_address(address.into(), 0)?;
            node.tables.set_peer_address(alias(0).into(), 0)?;
        }
        Ok(Self { nodes, network, _directory: directory })
    }

    fn node(network: &Network, prefix: &str, i: usize, place: XdpPlace, directory: &Path) -> Result<Node> {
        let host = &network.hosts[i];
        let pins = Pins::new(format!("/sys/fs/bpf/{prefix}-n{i}"));
        let settings = KernelSettings {
            interface: Host::INTERFACE.into(),
            service: std::net::SocketAddrV4::new(host.address, 80),
            tunnel: host.address,
            placed: "127.0.0.1:10080".parse()?,
            handoff: "127.0.0.1:10081".parse()?,
            aliases: (Ipv4Addr::new(169, 254, 64, 0), 18),
            pins: pins.clone(),
        };
        let haproxy = Some(start_haproxy(host, i, directory)?);
        let mut ebpf = host.namespace.enter(|| load::load(object::embedded()?, &settings, Mode::Handoff))??;
        let mut tables = Tables::open(&pins)?.context("no tables")?;
        tables.set_control(&Control {
            secret: Secret { current: Key(1, 2), next: Key(3, 4), switch_epoch: u32::MAX / 2, reserved: 0 },
            ..Control::default()
        })?;
        let text = |status: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        };
        for (index, status) in [(ANSWER_BUSY, "429 Too Many Requests"), (ANSWER_UNAVAILABLE, "503 Service Unavailable")]
        {
            tables.set_answer(index, &Answer::new(text(status, "saturated\n").as_bytes()).context("too long")?)?;
        }
        host.namespace.enter(|| load::attach(&mut ebpf, &settings, Mode::Handoff, Some(place)))??;
        Ok(Node { tables, haproxy, pins, _ebpf: ebpf })
    }

    fn route(&mut self, node: usize, name: &str, function: u32, change: impl FnOnce(&mut Route)) -> Result<()> {
        let mut route = Route {
            function,
            version: 1,
            shape: WEIGHTED,
            deployed: 1,
            local: Limit::OPEN,
            out_burst_ns: 0,
            in_burst_ns: 0,
            out_interval_ns: [limit::OPEN; MAX_PEERS],
            in_interval_ns: [limit::OPEN; MAX_PEERS],
            name: [0; 64],
            slots: fill_slots(&[(SLOT_LOCAL, 1)]),
        };
        change(&mut route);
        self.nodes[node].tables.set_route(&Name::new(name).context("name")?, &route)
    }

    /// Status and `X-Node` of a call from the client.
    fn call(&self, path: &str, args: &[&str]) -> Result<String> {
        let url = format!("http://{}{path}", self.network.hosts[0].address);
        let output = self.network.hosts[CLIENT]
            .namespace
            .command("curl")
            .args([
                "-s",
                "-o",
                "/dev/null",
                "-m",
                "10",
                "-w",
                "%{http_code} %header{x-node}%header{x-fe} %header{x-src}",
            ])
            .args(args)
            .arg(url)
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn expect(&self, path: &str, want: &str) -> Result<()> {
        let got = self.call(path, &[])?;
        if got != want {
            self.dump();
            bail!("{path}: got {got:?}, expected {want:?}");
        }
        Ok(())
    }

    fn dump(&self) {
        for (i, node) in self.nodes.iter().enumerate() {
            for (verdict, n) in node.tables.verdicts().expect("the maps are there") {
                if n > 0 {
                    eprintln!("n{} {n:>6} {}", i + 1, verdict.name());
                }
            }
        }
    }

    fn verdict(&self, node: usize, verdict: Verdict) -> u64 {
        self.nodes[node].tables.verdicts().expect("the maps are there")[verdict.number() as usize].1
    }
}

fn start_haproxy(host: &Host, i: usize, directory: &Path) -> Result<Child> {
    let path = directory.join(format!("haproxy{i}.cfg"));
    let front = |name: &str, address: &str| {
        format!(
            "frontend {name}\n bind {address}\n http-request return status 200 hdr X-Node n{} hdr X-Fe {name} \
             hdr X-Src %[src] content-type text/plain string ok\n",
            i + 1
        )
    };
    let text = format!(
        "global\n nbthread 1\ndefaults\n mode http\n timeout client 60s\n timeout connect 60s\n timeout server 60s\n{}{}{}",
        front("service", &format!("{}:80", host.address)),
        front("placed", "127.0.0.1:10080"),
        front("handoff", "127.0.0.1:10081")
    );
    std::fs::write(&path, text)?;
    let child = host.namespace.command("haproxy").arg("-f").arg(&path).stdout(Stdio::null()).spawn()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while host.namespace.run("ss -Hltn")?.lines().filter(|l| l.contains(":1008")).count() < 2 {
        if Instant::now() > deadline {
            bail!("haproxy does not listen");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child)
}

fn exercise(third: u8, place: XdpPlace) -> Result<()> {
    let mut bed = Bed::new(third, place)?;
    bed.route(0, "here", 0, |_| {})?;
    bed.route(0, "there", 1, |r| r.slots = fill_slots(&[(0, 1)]))?;
    bed.route(1, "there", 0, |_| {})?;
    bed.route(0, "nowhere", 2, |r| r.slots = fill_slots(&[(SLOT_REFUSE, 1)]))?;
    bed.route(0, "split", 3, |r| {
        r.shape = LOCAL_FIRST;
        r.local = Limit::new(1.0, 0);
        r.slots = fill_slots(&[(0, 1)]);
    })?;
    bed.route(1, "split", 1, |_| {})?;
    bed.route(0, "gone", 4, |r| r.slots = fill_slots(&[(0, 1), (SLOT_LOCAL, 1)]))?;
    let client = bed.network.hosts[CLIENT].address;
    bed.expect("/function/here", &format!("200 n1placed {client}"))?;
    bed.expect("/function/unheard-of", &format!("200 n1service {client}"))?;
    bed.expect("/other", &format!("200 n1service {client}"))?;
    bed.expect("/function/there", &format!("200 n2handoff {client}"))?;
    bed.expect("/function/nowhere", "429")?;
    bed.expect("/function/split", &format!("200 n1placed {client}"))?;
    bed.expect("/function/split", &format!("200 n2handoff {client}"))?;
    // The peer does not run it: it comes back.
    for _ in 0..4 {
        bed.expect("/function/gone", &format!("200 n1placed {client}"))?;
    }
    assert!(bed.verdict(0, Verdict::BouncedToLocal) >= 1);
    for _ in 0..50 {
        bed.expect("/function/there", &format!("200 n2handoff {client}"))?;
    }
    // Both ends have finished: nothing is left in the table of live connections.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(bed.nodes[0].tables.forwarded().count(), 0);
    assert!(bed.nodes[0].tables.decided().count() > 50);
    bed.nodes[1].stop_haproxy();
    bed.expect("/function/split", &format!("200 n1placed {client}"))?;
    bed.expect("/function/there", "429")?;
    bed.nodes[0].stop_haproxy();
    let got = bed.call("/function/here", &[])?;
    assert_eq!(got, "503");
    Ok(())
}

#[test]
fn connections_are_steered_native() {
    exercise(1, XdpPlace::Native).unwrap();
}

#[test]
fn connections_are_steered_generic() {
    exercise(2, XdpPlace::Generic).unwrap();
}

#[test]
fn the_client_tools_are_there() {
    for tool in ["curl", "haproxy", "ip", "ethtool"] {
        assert!(Command::new("which").arg(tool).stdout(Stdio::null()).status().unwrap().success(), "{tool} is missing");
    }
}
