//! The two that are compared. Each has a network of its own: node A (measured), node B (serves), a client.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context as _, Result};
use aya::programs::ProgramInfo;
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::route::{SLOT_REFUSE, fill_slots};

use super::{
    bodies::Bodies,
    calls::{FORWARDED, REFUSED},
    cpu::{self, PacketThreads},
    haproxy::{self, Haproxy},
};
use crate::{
    network::{Host, Network},
    pair::{self, CLIENT, HANDOFF, OTHER, Pair},
};

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

/// What node A has spent since some time in the past.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    /// Of the programs, or of the proxy.
    pub(super) own_ns: u64,
    /// The same with all handling of node A's packets.
    pub(super) node_ns: Option<u64>,
    /// Of node A, the switch, node B with its function, and the client's packets, but not of the client's process.
    pub(super) all_ns: u64,
    pub(super) programs: Vec<ProgramCost>,
}

#[derive(Clone, Debug)]
pub(super) struct ProgramCost {
    pub(super) name: String,
    pub(super) runs: u64,
    pub(super) ns: u64,
}

impl Cost {
    pub(super) fn since(&self, before: &Self) -> Self {
        let programs = self.programs.iter().zip(&before.programs).map(|(now, then)| ProgramCost {
            name: now.name.clone(),
            runs: now.runs - then.runs,
            ns: now.ns - then.ns,
        });
        Self {
            own_ns: self.own_ns.saturating_sub(before.own_ns),
            node_ns: self.node_ns.zip(before.node_ns).map(|(now, then)| now - then),
            // A thread of this process that has ended takes its time with it.
            all_ns: self.all_ns.saturating_sub(before.all_ns),
            programs: programs.collect(),
        }
    }
}

pub(super) trait Contender {
    fn name(&self) -> &'static str;
    fn network(&self) -> &Network;
    /// Lets kernel threads handle packets, so that node A's can be told from others'.
    fn use_threads(&mut self) -> Result<()>;
    fn cost(&self) -> Result<Cost>;
    /// What node B's function has received.
    fn received_bytes(&self) -> u64;

    fn client(&self) -> &Host {
        &self.network().hosts[CLIENT]
    }

    /// What clients call.
    fn address(&self) -> Ipv4Addr {
        self.network().hosts[A].address
    }

    fn client_time_wait(&self) -> Result<u64> {
        let text = self.client().namespace.run("cat /proc/net/sockstat")?;
        let count = text.lines().find_map(|line| line.strip_prefix("TCP:")?.split_once(" tw ")?.1.split(' ').next());
        count.and_then(|n| n.parse().ok()).with_context(|| format!("sockstat names no TIME_WAIT sockets: {text}"))
    }
}

/// Clients find enough ports: the whole range, and those in TIME_WAIT again after a second.
pub(super) fn give_ports(network: &Network) -> Result<()> {
    network.hosts.iter().try_for_each(|host| {
        host.namespace.set_ipv4("tcp_tw_reuse", "1")?;
        host.namespace.set_ipv4("ip_local_port_range", "1024 65535")
    })
}

/// What node B serves: a short answer by HAProxy itself, bodies by the service behind it.
struct Function {
    haproxy: Haproxy,
    bodies: Bodies,
}

impl Function {
    fn start(host: &Host, file: &Path, bind: &str) -> Result<Self> {
        let bodies = Bodies::start(&host.namespace)?;
        Ok(Self { haproxy: Haproxy::start(&host.namespace, file, &haproxy::function(bind))?, bodies })
    }

    /// The service is a thread of this process, which does little else meanwhile.
    fn time(&self) -> Result<u64> {
        Ok(cpu::of_process(self.haproxy.pid())? + cpu::of_process(std::process::id())?)
    }
}

/// Node A has the kernel programs and nothing else; node B takes connections off its hands.
pub(super) struct Kernel {
    pair: Pair,
    threads: Option<PacketThreads>,
    function: Function,
}

impl Kernel {
    pub(super) fn new(prefix: &str, image: &[u8], place: XdpPlace, files: &Path) -> Result<Self> {
        let mut pair = Pair::new(prefix, [10, 92, 1], image, place)?;
        give_ports(&pair.network)?;
        pair.route(A, FORWARDED, 0, |route| route.slots = fill_slots(&[(OTHER, 1)]))?;
        pair.route(A, REFUSED, 1, |route| route.slots = fill_slots(&[(SLOT_REFUSE, 1)]))?;
        pair.route(B, FORWARDED, 0, |_| {})?;
        let function = Function::start(&pair.network.hosts[B], &files.join("b-handoff"), &HANDOFF.to_string())?;
        Ok(Self { pair, threads: None, function })
    }

    pub(super) fn pair(&mut self) -> &mut Pair {
        &mut self.pair
    }
}

impl Contender for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn network(&self) -> &Network {
        &self.pair.network
    }

    fn use_threads(&mut self) -> Result<()> {
        self.threads = Some(PacketThreads::start(&self.pair.network)?);
        Ok(())
    }

    fn cost(&self) -> Result<Cost> {
        let mut programs = Vec::new();
        for (name, program) in self.pair.nodes[A].ebpf.programs() {
            // Those that the mode has no use for are not loaded.
            let Ok(fd) = program.fd() else { continue };
            let info: ProgramInfo = program.info().with_context(|| format!("cannot look at {name} ({fd:?})"))?;
            let ns = info.run_time().as_nanos() as u64;
            programs.push(ProgramCost { name: name.to_owned(), runs: info.run_count(), ns });
        }
        let own_ns = programs.iter().map(|p| p.ns).sum();
        let node_ns = self.threads.as_ref().map(PacketThreads::time_of_a).transpose()?;
        let others_ns = self.threads.as_ref().map_or(Ok(0), PacketThreads::time_of_others)?;
        // Where senders handle packets, the programs are in the time of whoever sent, and must not count twice.
        let all_ns = node_ns.unwrap_or(0) + others_ns + self.function.time()?;
        Ok(Cost { own_ns, node_ns, all_ns, programs })
    }

    fn received_bytes(&self) -> u64 {
        self.function.bodies.received_bytes()
    }
}

/// Node A has a proxy with the original's rules.
pub(super) struct Proxy {
    network: Network,
    threads: Option<PacketThreads>,
    haproxy: Haproxy,
    function: Function,
}

impl Proxy {
    pub(super) fn new(prefix: &str, files: &Path) -> Result<Self> {
        let network = pair::network(prefix, [10, 92, 2])?;
        network.without_xdp()?;
        give_ports(&network)?;
        let b = &network.hosts[B];
        let function = Function::start(b, &files.join("b-service"), "*:80")?;
        let text = haproxy::original(network.hosts[A].address, b.address);
        let haproxy = Haproxy::start(&network.hosts[A].namespace, &files.join("a"), &text)?;
        Ok(Self { network, threads: None, haproxy, function })
    }
}

impl Contender for Proxy {
    fn name(&self) -> &'static str {
        "HAProxy"
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn use_threads(&mut self) -> Result<()> {
        self.threads = Some(PacketThreads::start(&self.network)?);
        Ok(())
    }

    fn cost(&self) -> Result<Cost> {
        let own_ns = cpu::of_process(self.haproxy.pid())?;
        let node_ns = self.threads.as_ref().map(|threads| Ok::<_, anyhow::Error>(threads.time_of_a()? + own_ns));
        let node_ns = node_ns.transpose()?;
        let others_ns = self.threads.as_ref().map_or(Ok(0), PacketThreads::time_of_others)?;
        let all_ns = node_ns.unwrap_or(own_ns) + others_ns + self.function.time()?;
        Ok(Cost { own_ns, node_ns, all_ns, programs: Vec::new() })
    }

    fn received_bytes(&self) -> u64 {
        self.function.bodies.received_bytes()
    }
}
