//! Hosts on one switch.
//!
//! Facts of veth that matter to XDP: a frame that a program sends back (`XDP_TX`) arrives only if the far end has a
//! program too, so the switch's ports carry one that passes everything; and XDP sees checksums that are not finished yet,
//! so hosts compute theirs in software (`tx off`).

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    programs::{Xdp, links::FdLink, xdp::XdpMode},
};

use crate::{
    link::{Impairment, Link},
    machine,
    netns::{Namespace, run},
};

/// Where the switch is.
enum Switch {
    Namespace(Namespace),
    /// The host itself: it can then reach the nodes.
    Host(HostBridge),
}

/// A bridge in the host's namespace; removed when dropped.
struct HostBridge {
    name: String,
    keep: bool,
}

impl Drop for HostBridge {
    fn drop(&mut self) {
        if !self.keep {
            let _ = run("ip", &["link", "del", &self.name]);
        }
    }
}

pub struct Host {
    pub namespace: Namespace,
    pub address: Ipv4Addr,
}

impl Host {
    /// Name of the interface towards the switch.
    pub const INTERFACE: &'static str = "eth0";
}

/// A switch and its hosts, in one /24.
pub struct Network {
    // Before the switch: its ports go with the hosts.
    pub hosts: Vec<Host>,
    switch: Switch,
    prefix: String,
    subnet: [u8; 3],
    /// Where the programs of the ports are pinned.
    pins: PathBuf,
}

impl Network {
    /// `prefix` starts the names of all namespaces; `subnet` are the first three bytes of all addresses. With `bridge`,
    /// the switch is in the host's namespace under this name, with address 254.
    pub fn new(prefix: &str, subnet: [u8; 3], bridge: Option<&str>) -> Result<Self> {
        machine::prepare()?;
        let switch = match bridge {
            None => {
                let switch = Namespace::new(format!("{prefix}-switch"))?;
                switch.run("ip link add br0 type bridge forward_delay 0")?;
                switch.run("ip link set br0 up")?;
                Switch::Namespace(switch)
            }
            Some(name) => {
                run("ip", &["link", "add", name, "type", "bridge", "forward_delay", "0"])?;
                let bridge = HostBridge { name: name.to_owned(), keep: false };
                let [a, b, c] = subnet;
                run("ip", &["addr", "add", &format!("{a}.{b}.{c}.254/24"), "dev", name])?;
                run("ip", &["link", "set", name, "up"])?;
                run("ethtool", &["-K", name, "tx", "off"])?;
                Switch::Host(bridge)
            }
        };
        let pins = PathBuf::from(format!("/sys/fs/bpf/{prefix}-ports"));
        Ok(Self { hosts: Vec::new(), switch, prefix: prefix.to_owned(), subnet, pins })
    }

    /// Adds a host with the address `number`; returns its index.
    pub fn add_host(&mut self, name: &str, number: u8) -> Result<usize> {
        let namespace = Namespace::new(format!("{}-{name}", self.prefix))?;
        let [a, b, c] = self.subnet;
        let address = Ipv4Addr::new(a, b, c, number);
        let port = self.port(name);
        let inside = namespace.name().to_owned();
        // One MAC per number, so that nothing depends on chance.
        let mac = format!("02:00:{a:02x}:{b:02x}:{c:02x}:{number:02x}");
        let mut link = vec![
            "link",
            "add",
            Host::INTERFACE,
            "address",
            &mac,
            "netns",
            &inside,
            "type",
            "veth",
            "peer",
            "name",
            &port,
        ];
        if let Switch::Namespace(switch) = &self.switch {
            link.extend(["netns", switch.name()]);
        }
        run("ip", &link)?;
        self.switch_run(&format!("ip link set {port} master {} up", self.bridge()))?;
        self.attach_pass(&port)?;
        namespace.run(&format!("ip addr add {address}/24 dev {}", Host::INTERFACE))?;
        namespace.run(&format!("ethtool -K {} tx off", Host::INTERFACE))?;
        namespace.run(&format!("ip link set {} up", Host::INTERFACE))?;
        self.hosts.push(Host { namespace, address });
        Ok(self.hosts.len() - 1)
    }

    /// Runs a command line where the switch is.
    pub fn switch_run(&self, line: &str) -> Result<String> {
        match &self.switch {
            Switch::Namespace(switch) => switch.run(line),
            Switch::Host(_) => {
                let words: Vec<_> = line.split_whitespace().collect();
                run(words[0], &words[1..])
            }
        }
    }

    /// The switch's namespace, if it has one of its own.
    pub fn switch(&self) -> Option<&Namespace> {
        match &self.switch {
            Switch::Namespace(switch) => Some(switch),
            Switch::Host(_) => None,
        }
    }

    /// The switch's port of a host.
    pub fn port(&self, name: &str) -> String {
        match &self.switch {
            Switch::Namespace(_) => format!("p-{name}"),
            // The host may have several switches.
            Switch::Host(bridge) => format!("{}-{name}", bridge.name),
        }
    }

    /// Puts a bad link between a host and the switch. Once for a host: the link stays broken when this is dropped.
    pub fn impair(&self, name: &str, impairment: Impairment, seed: u64) -> Result<Link> {
        let Switch::Namespace(switch) = &self.switch else { bail!("only links in namespaces can be made bad") };
        let (port, inner, outer) = (self.port(name), format!("i-{name}"), format!("o-{name}"));
        switch.run(&format!("ip link add {inner} type veth peer name {outer}"))?;
        // Frames must come as they are on a wire: none larger than the MTU, checksums finished.
        switch.run(&format!("ethtool -K {outer} tx off"))?;
        for interface in [&port, &inner, &outer] {
            switch.run(&format!("ethtool -K {interface} gro off"))?;
        }
        switch.run(&format!("ip link set {outer} master {} up", self.bridge()))?;
        switch.run(&format!("ip link set {inner} up"))?;
        switch.run(&format!("ip link set {port} nomaster"))?;
        switch.enter(|| Link::between(&port, &inner, impairment, seed))?
    }

    fn bridge(&self) -> &str {
        match &self.switch {
            Switch::Namespace(_) => "br0",
            Switch::Host(bridge) => &bridge.name,
        }
    }

    /// Makes it a network for nodes without XDP: no programs on the ports, and the offloads that XDP cannot have.
    pub fn without_xdp(&self) -> Result<()> {
        self.unpin_ports();
        self.hosts.iter().try_for_each(|host| {
            host.namespace.run(&format!("ethtool -K {} tx on", Host::INTERFACE))?;
            Ok(())
        })
    }

    /// Leaves everything in place when dropped.
    pub fn keep(&mut self) {
        for host in &mut self.hosts {
            host.namespace.keep();
        }
        match &mut self.switch {
            Switch::Namespace(switch) => switch.keep(),
            Switch::Host(bridge) => bridge.keep = true,
        }
        self.pins = PathBuf::new();
    }

    /// Loads `dfaas_pass` on a port of the switch.
    fn attach_pass(&self, port: &str) -> Result<()> {
        let attach = || -> Result<()> {
            let mut ebpf = pass_program()?;
            let program: &mut Xdp = ebpf.program_mut("dfaas_pass").context("no program dfaas_pass")?.try_into()?;
            program.load()?;
            let id = program.attach(port, XdpMode::Driver).with_context(|| format!("cannot attach to {port}"))?;
            let link: FdLink = program.take_link(id)?.try_into()?;
            std::fs::create_dir_all(&self.pins).with_context(|| format!("cannot make {}", self.pins.display()))?;
            link.pin(self.pins.join(port))?;
            Ok(())
        };
        match &self.switch {
            Switch::Namespace(switch) => switch.enter(attach)?,
            Switch::Host(_) => attach(),
        }
    }
}

impl Network {
    /// Takes the programs off the ports.
    fn unpin_ports(&self) {
        for entry in std::fs::read_dir(&self.pins).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        let _ = std::fs::remove_dir(&self.pins);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.pins.as_os_str().is_empty() {
            self.unpin_ports();
        }
    }
}

fn pass_program() -> Result<Ebpf> {
    Ok(Ebpf::load(dfaas_agent::kernel::object::embedded()?)?)
}
