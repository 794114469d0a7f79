//! `bench flood`: whose connections come about while somebody sends SYNs as fast as he can.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dfaas_agent::kernel::mode::XdpPlace;
use serde_json::json;

use super::{
    Setting,
    calls::FORWARDED,
    contender::{A, give_ports},
    findings::{Findings, number},
    haproxy::{self, Haproxy},
    spread::Spread,
};
use crate::{
    client::{Call, Connections, Latency, Load},
    federation::lease::Lease,
    flood::Flood,
    network::{Host, Network},
    pair::{self, CLIENT, PLACED, Pair},
};

/// Different SYNs; no table of half-open connections is larger.
const SYNS: u32 = 1 << 16;
/// More than any turn sends: a flood is bounded.
const MAX_SENT: u64 = 20_000_000;
/// Connections that the client asks for in a second.
const RATE: f64 = 50.0;
/// Two SYNs are sent again within it.
const PATIENCE: Duration = Duration::from_millis(3_500);
/// Of the flood before the client.
const HEAD_START: Duration = Duration::from_millis(300);
const ATTACKER: &str = "attacker";
const ATTACKER_NUMBER: u8 = 66;

const NAMES: [&str; 3] = ["kernel", "stack, syncookies", "stack, no syncookies"];

/// What came of one flood.
#[derive(Clone, Debug, Default)]
struct Turn {
    sent_per_second: f64,
    arrived_per_second: f64,
    wanted: u64,
    completed: u64,
    latency: Latency,
}

/// Node A with a client and an attacker. With the kernel programs or without.
enum Node {
    Programs { pair: Pair, _listener: Haproxy },
    Stack(Network),
}

impl Node {
    fn programs(prefix: &str, image: &[u8], place: XdpPlace, files: &Path) -> Result<Self> {
        let mut pair = Pair::new(prefix, [10, 92, 5], image, place)?;
        pair.route(A, FORWARDED, 0, |_| {})?;
        prepare(&mut pair.network)?;
        let function = haproxy::function(&PLACED.to_string());
        let listener = Haproxy::start(&pair.network.hosts[A].namespace, &files.join("placed"), &function)?;
        Ok(Self::Programs { pair, _listener: listener })
    }

    fn stack(prefix: &str) -> Result<Self> {
        let mut network = pair::network(prefix, [10, 92, 6])?;
        prepare(&mut network)?;
        network.without_xdp()?;
        Ok(Self::Stack(network))
    }

    fn network(&self) -> &Network {
        match self {
            Self::Programs { pair, .. } => &pair.network,
            Self::Stack(network) => network,
        }
    }
}

/// The attacker; a way for answers to forged addresses, without which the stack would not answer at all; and no memory of
/// clients, because the stack spares a quarter of its backlog for those that it has seen before.
fn prepare(network: &mut Network) -> Result<()> {
    give_ports(network)?;
    let attacker = network.add_host(ATTACKER, ATTACKER_NUMBER)?;
    let address = network.hosts[attacker].address;
    let node = &network.hosts[A].namespace;
    node.set_ipv4("tcp_no_metrics_save", "1")?;
    node.run(&format!("ip route add default via {address}")).map(drop)
}

pub(super) fn run(setting: &Setting) -> Result<Findings> {
    let leases = [Lease::take()?, Lease::take()?];
    let files = tempfile::tempdir()?;
    let programs = Node::programs(leases[0].prefix(), &setting.image, setting.args.xdp, files.path())?;
    let stack = Node::stack(leases[1].prefix())?;
    let mut turns: [Vec<Turn>; 3] = Default::default();
    for round in 1..=setting.rounds() {
        for (name, turns) in NAMES.iter().zip(&mut turns) {
            setting.step(&format!("flood, round {round} of {}: {name}", setting.rounds()))?;
            let node = if *name == NAMES[0] { &programs } else { &stack };
            turns.push(turn(node, *name != NAMES[2], files.path(), setting.seconds(1, 5))?);
        }
    }
    Ok(findings(&turns))
}

fn turn(node: &Node, syncookies: bool, files: &Path, time: Duration) -> Result<Turn> {
    let network = node.network();
    let host = &network.hosts[A];
    host.namespace.set_ipv4("tcp_syncookies", if syncookies { "1" } else { "0" })?;
    // A listener of its own for every turn: half-open connections go with it.
    let _listener = match node {
        Node::Programs { .. } => None,
        Node::Stack(_) => Some(Haproxy::start(&host.namespace, &files.join("stack"), &haproxy::function("*:80"))?),
    };
    let attacker = network.hosts.last().context("no attacker")?;
    let flood = Flood::new(attacker, host, 80, SYNS)?;
    let (entrance, client) = (attacker.namespace.entrance()?, network.hosts[CLIENT].namespace.entrance()?);
    let call = Call::get(format!("http://{}/function/{FORWARDED}", host.address)).timeout(PATIENCE);
    let load = Load { call, rate: RATE, duration: Some(time), connections: Connections::PerCall };
    let (stop, arrived, begun) = (AtomicBool::new(false), arrived(host)?, Instant::now());
    let (sent, tally) = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood.send(&entrance, |sent| sent < MAX_SENT && !stop.load(Relaxed)));
        thread::sleep(HEAD_START);
        // It goes on until the last of the client's calls has ended.
        let tally = load.start(&client).and_then(crate::client::Running::finish);
        stop.store(true, Relaxed);
        let sent = flooding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, anyhow::Error>((sent?, tally?))
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let total = tally.total();
    Ok(Turn {
        sent_per_second: sent as f64 / seconds,
        arrived_per_second: (self::arrived(host)? - arrived) as f64 / seconds,
        wanted: total.calls(),
        completed: total.calls() - total.unsuccessful(),
        latency: tally.latency,
    })
}

/// Frames that the host has received.
fn arrived(host: &Host) -> Result<u64> {
    let file = format!("/sys/class/net/{}/statistics/rx_packets", Host::INTERFACE);
    let text = host.namespace.run(&format!("cat {file}"))?;
    text.trim().parse().with_context(|| format!("{file} says {text:?}, expected a number"))
}

fn findings(turns: &[Vec<Turn>; 3]) -> Findings {
    let mut findings = Findings::default();
    let mut rows = Vec::new();
    for (name, turns) in NAMES.iter().zip(turns) {
        let mut all = Turn::default();
        for turn in turns {
            all.wanted += turn.wanted;
            all.completed += turn.completed;
            all.latency.add(&turn.latency);
            findings.line(json!({
                "kind": "flood", "contender": name, "syns_sent_per_second": turn.sent_per_second,
                "arrived_per_second": turn.arrived_per_second, "wanted": turn.wanted, "completed": turn.completed,
                "p50_ms": turn.latency.quantile_ms(0.5), "p99_ms": turn.latency.quantile_ms(0.99),
            }));
        }
        let median = |value: fn(&Turn) -> f64| {
            let spread = Spread::of(&turns.iter().map(value).collect::<Vec<_>>());
            spread.map_or("–".to_owned(), |spread| number(spread.median))
        };
        rows.push(vec![
            (*name).to_owned(),
            median(|turn| turn.sent_per_second),
            median(|turn| turn.arrived_per_second),
            format!("{} of {}", all.completed, all.wanted),
            number(all.latency.quantile_ms(0.5)),
            number(all.latency.quantile_ms(0.99)),
        ]);
    }
    findings
        .table(&["beside a flood", "SYNs/s sent", "frames/s arrived", "calls answered", "p50, ms", "p99, ms"], rows);
    findings.say(format!(
        "The client asks for {RATE} connections a second, with a call on each, and waits {} s at most; p50 and p99 are of \
         those answered. The flood is what one thread can send, and shares the cores with everything it is sent to. To the node every client \
         is a new one: the stack keeps a quarter of its backlog for those it has seen before, and here it remembers none.",
        PATIENCE.as_secs_f64()
    ));
    findings
}
