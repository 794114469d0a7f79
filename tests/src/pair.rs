//! Two nodes that are each other's peer, with tables written by hand and no agent, and a client: the data path alone.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use dfaas_agent::kernel::{
    load::{self, KernelSettings},
    mode::{Mode, XdpPlace},
    pins::Pins,
    tables::Tables,
};
use dfaas_common::{
    cookie::Secret,
    http::Name,
    limit::{self, Limit},
    packet::Be16,
    peer::{MAX_PEERS, Peer, Seal, UP},
    route::{Route, SLOT_LOCAL, WEIGHTED, fill_slots},
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE, Answer, Control, HintWay},
    siphash::Key,
};

use crate::network::{Host, Network};

/// Index of the client among the network's hosts; the nodes are 0 and 1.
pub const CLIENT: usize = 2;
/// The other node's number, at both.
pub const OTHER: u8 = 0;
/// Where each node's listeners are.
pub const PLACED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10080);
pub const HANDOFF: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10081);

const ALIAS: Ipv4Addr = Ipv4Addr::new(169, 254, 64, 1);

/// A node's kernel side.
pub struct Node {
    pub tables: Tables,
    /// The loaded programs.
    pub ebpf: Ebpf,
    pins: Pins,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.pins.remove_all();
    }
}

pub struct Pair {
    pub nodes: Vec<Node>,
    pub network: Network,
}

/// A network of two nodes, 1 and 2, and a client.
pub fn network(prefix: &str, subnet: [u8; 3]) -> Result<Network> {
    let mut network = Network::new(prefix, subnet, None)?;
    for (name, number) in [("n1", 1), ("n2", 2), ("client", 200)] {
        network.add_host(name, number)?;
    }
    Ok(network)
}

/// The seal that node `to` has drawn for node `from`.
pub fn seal(from: usize, to: usize) -> Seal {
    let n = (from * 10 + to) as u64;
    Seal { key: Key(n, n + 1), token: n + 2, epoch: 7, reserved: 0 }
}

impl Pair {
    /// `prefix` starts all names on the machine, `subnet` all addresses, `image` are the kernel programs.
    pub fn new(prefix: &str, subnet: [u8; 3], image: &[u8], place: XdpPlace) -> Result<Self> {
        let network = network(prefix, subnet)?;
        let nodes = [0, 1].map(|i| node(&network.hosts[i], prefix, i, image, place));
        let mut pair = Self { nodes: nodes.into_iter().collect::<Result<_>>()?, network };
        for i in [0, 1] {
            pair.introduce(i, subnet)?;
        }
        Ok(pair)
    }

    /// Tells a node of the other one.
    fn introduce(&mut self, i: usize, subnet: [u8; 3]) -> Result<()> {
        let other = 1 - i;
        let address = self.network.hosts[other].address;
        let namespace = &self.network.hosts[i].namespace;
        namespace.run(&format!("ip addr add {ALIAS}/32 dev lo"))?;
        let ifindex = namespace.run(&format!("cat /sys/class/net/{}/ifindex", Host::INTERFACE))?.trim().parse()?;
        let peer = Peer {
            send: seal(i, other),
            receive: [seal(other, i), Seal::default()],
            expires_ns: u64::MAX,
            tunnel: address.into(),
            service: address.into(),
            alias: ALIAS.into(),
            ifindex,
            mac: [2, 0, subnet[0], subnet[1], subnet[2], other as u8 + 1],
            service_port: Be16::new(80),
            state: UP,
            reserved2: 0,
        };
        let tables = &mut self.nodes[i].tables;
        tables.set_peer(OTHER.into(), &peer)?;
        tables.set_peer_address(address.into(), OTHER.into())?;
        tables.set_peer_address(ALIAS.into(), OTHER.into())
    }

    /// Writes a function's table: here without a limit, but for what `change` says.
    pub fn route(&mut self, node: usize, name: &str, function: u32, change: impl FnOnce(&mut Route)) -> Result<()> {
        let mut route = Route {
            name: [0; 64],
            function,
            version: 1,
            shape: WEIGHTED,
            deployed: 1,
            local: Limit::OPEN,
            out_burst_ns: 0,
            in_burst_ns: 0,
            out_interval_ns: [limit::OPEN; MAX_PEERS],
            in_interval_ns: [limit::OPEN; MAX_PEERS],
            slots: fill_slots(&[(SLOT_LOCAL, 1)]),
        };
        change(&mut route);
        let name = Name::new(name).with_context(|| format!("{name} is longer than a function's name may be"))?;
        self.nodes[node].tables.set_route(&name, &route)
    }
}

fn node(host: &Host, prefix: &str, i: usize, image: &[u8], place: XdpPlace) -> Result<Node> {
    let pins = Pins::new(format!("/sys/fs/bpf/{prefix}-n{}", i + 1));
    let settings = KernelSettings {
        interface: Host::INTERFACE.into(),
        service: SocketAddrV4::new(host.address, 80),
        tunnel: host.address,
        placed: PLACED,
        handoff: HANDOFF,
        aliases: (Ipv4Addr::new(169, 254, 64, 0), 18),
        hint_way: HintWay::Auto,
        pins: pins.clone(),
    };
    let attached = host.namespace.enter(|| {
        let mut ebpf = load::load(image, &settings, Mode::Handoff)?;
        load::attach(&mut ebpf, &settings, Mode::Handoff, Some(place))?;
        Ok::<_, anyhow::Error>((Tables::open(&pins)?.context("the maps are not pinned")?, ebpf))
    })?;
    let (tables, ebpf) = attached.inspect_err(|_| {
        let _ = pins.remove_all();
    })?;
    let mut node = Node { tables, ebpf, pins };
    node.tables.set_control(&Control {
        secret: Secret { current: Key(1, 2), next: Key(3, 4), switch_epoch: u32::MAX / 2, reserved: 0 },
        ..Control::default()
    })?;
    for (index, status) in [(ANSWER_BUSY, "429 Too Many Requests"), (ANSWER_UNAVAILABLE, "503 Service Unavailable")] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 10\r\nConnection: close\r\n\r\nsaturated\n");
        node.tables.set_answer(index, &Answer::new(text.as_bytes()).context("the answer is too long")?)?;
    }
    Ok(node)
}
