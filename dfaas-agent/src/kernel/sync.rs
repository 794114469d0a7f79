//! Writes decisions and peers into the maps, and only what differs from what is there.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context as _, Result};
use dfaas_common::{
    address::raw_v4,
    http::Name,
    packet::{Be16, Be32},
    peer::{DEAD, MAX_PEERS, Peer, Seal},
    route::{MAX_FUNCTIONS, Route},
};

use super::{network::NextHop, plan, secrets::draw_seal, tables::Tables};
use crate::{
    decision::Decision,
    name::{FunctionName, NodeId},
};

/// What the data path must know of a peer, as far as it does not know it by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerFacts {
    pub tunnel: Ipv4Addr,
    pub service: SocketAddrV4,
    pub next_hop: NextHop,
    /// What the peer wants to see on packets to it.
    pub send: Seal,
    /// `dfaas_common::peer::{UP, DRAINING, DEAD}`.
    pub state: u32,
    /// Monotonic clock.
    pub expires_ns: u64,
}

struct PeerEntry {
    number: u32,
    peer: Peer,
}

/// The maps, and what was written to them.
pub struct Sync {
    tables: Tables,
    functions: BTreeMap<FunctionName, u32>,
    routes: BTreeMap<FunctionName, Route>,
    peers: BTreeMap<NodeId, PeerEntry>,
    /// Entries of a former agent whose nodes are not known yet, by tunnel address.
    inherited: BTreeMap<u32, PeerEntry>,
    aliases: (Ipv4Addr, u8),
    burst: Duration,
}

impl Sync {
    /// Takes over what is in the maps.
    pub fn new(tables: Tables, aliases: (Ipv4Addr, u8), burst: Duration) -> Self {
        let mut functions = BTreeMap::new();
        let mut routes = BTreeMap::new();
        for (name, route) in tables.routes() {
            let text = String::from_utf8_lossy(&name.bytes()).trim_end_matches('\0').to_owned();
            if let Ok(name) = FunctionName::try_from(text) {
                functions.insert(name.clone(), route.function);
                routes.insert(name, route);
            }
        }
        let inherited =
            tables.peers().into_iter().map(|(number, peer)| (peer.tunnel.raw(), PeerEntry { number, peer })).collect();
        Self { tables, functions, routes, peers: BTreeMap::new(), inherited, aliases, burst }
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub fn tables_mut(&mut self) -> &mut Tables {
        &mut self.tables
    }

    /// Peers of a former agent that have not been heard of since.
    pub fn inherited_peers(&self) -> usize {
        self.inherited.len()
    }

    pub fn peer_number(&self, node: &NodeId) -> Option<u32> {
        self.peers.get(node).map(|entry| entry.number)
    }

    /// All that have one.
    pub fn peer_numbers(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.peers.iter().map(|(node, entry)| (node, entry.number))
    }

    pub fn function_number(&self, name: &FunctionName) -> Option<u32> {
        self.functions.get(name).copied()
    }

    pub fn function_name(&self, number: u32) -> Option<&FunctionName> {
        self.functions.iter().find(|f| *f.1 == number).map(|f| f.0)
    }

    /// The alias of a peer's number.
    pub fn alias(&self, number: u32) -> Ipv4Addr {
        // The network's own address is left out.
        Ipv4Addr::from(u32::from(self.aliases.0) + 1 + number)
    }

    /// Number and alias of a peer, given once and kept. `None`: there are no more.
    pub fn admit_peer(&mut self, node: &NodeId, tunnel: Ipv4Addr) -> Option<(u32, Ipv4Addr)> {
        if let Some(entry) = self.peers.get(node) {
            return Some((entry.number, self.alias(entry.number)));
        }
        let entry = if let Some(entry) = self.inherited.remove(&raw_v4(tunnel)) {
            entry
        } else {
            let taken = |n| self.peers.values().chain(self.inherited.values()).any(|e| e.number == n);
            let number = (0..MAX_PEERS as u32).find(|n| !taken(*n))?;
            PeerEntry { number, peer: Peer::default() }
        };
        let number = entry.number;
        self.peers.insert(node.clone(), entry);
        Some((number, self.alias(number)))
    }

    /// What the peer must put on packets to us. Drawn at first call.
    pub fn receive_seal(&mut self, node: &NodeId) -> Option<Seal> {
        let entry = self.peers.get_mut(node)?;
        if entry.peer.receive[0].epoch == 0 {
            entry.peer.receive[0] = draw_seal(0);
        }
        Some(entry.peer.receive[0])
    }

    /// Draws a new one; the old one stays valid until the next call.
    pub fn rotate_seal(&mut self, node: &NodeId) {
        if let Some(entry) = self.peers.get_mut(node) {
            let [current, _] = entry.peer.receive;
            entry.peer.receive = [draw_seal(current.epoch), current];
        }
    }

    /// Writes what is known of a peer.
    pub fn write_peer(&mut self, node: &NodeId, facts: &PeerFacts) -> Result<()> {
        self.receive_seal(node);
        let entry = self.peers.get_mut(node).context("a peer without a number")?;
        let alias = Ipv4Addr::from(u32::from(self.aliases.0) + 1 + entry.number);
        let old = entry.peer;
        entry.peer = Peer {
            send: facts.send,
            receive: entry.peer.receive,
            expires_ns: facts.expires_ns,
            tunnel: Be32::from_raw(raw_v4(facts.tunnel)),
            service: Be32::from_raw(raw_v4(*facts.service.ip())),
            alias: Be32::from_raw(raw_v4(alias)),
            ifindex: facts.next_hop.ifindex,
            mac: facts.next_hop.mac,
            service_port: Be16::new(facts.service.port()),
            state: facts.state,
            reserved2: 0,
        };
        let (number, peer) = (entry.number, entry.peer);
        self.tables.set_peer(number, &peer)?;
        if old.tunnel == peer.tunnel && old.service == peer.service && old.alias == peer.alias {
            return Ok(());
        }
        let fresh: [IpAddr; 3] = [facts.tunnel.into(), (*facts.service.ip()).into(), alias.into()];
        let known = self.tables.peer_addresses().into_iter();
        for (address, _) in known.filter(|(address, n)| *n == number && !fresh.contains(address)) {
            self.tables.remove_peer_address(address)?;
        }
        fresh.into_iter().try_for_each(|address| self.tables.set_peer_address(address, number))
    }

    /// Ends all traffic with a peer at once. It keeps its number, which connections that were handed to it name.
    pub fn revoke_peer(&mut self, node: &NodeId) -> Result<()> {
        let Some(entry) = self.peers.get_mut(node).filter(|entry| entry.peer.tunnel != Be32::default()) else {
            return Ok(());
        };
        entry.peer =
            Peer { send: Seal::default(), receive: Default::default(), expires_ns: 0, state: DEAD, ..entry.peer };
        let (number, peer) = (entry.number, entry.peer);
        self.tables.set_peer(number, &peer)
    }

    /// Takes a peer out of the maps and frees its number.
    pub fn remove_peer(&mut self, node: &NodeId) -> Result<()> {
        let Some(entry) = self.peers.remove(node) else { return Ok(()) };
        self.forget(entry.number)
    }

    /// Takes peers out that a former agent knew and nobody has heard of since.
    pub fn forget_inherited(&mut self) -> Result<usize> {
        let numbers: Vec<u32> = std::mem::take(&mut self.inherited).into_values().map(|entry| entry.number).collect();
        numbers.iter().try_for_each(|number| self.forget(*number))?;
        Ok(numbers.len())
    }

    fn forget(&mut self, number: u32) -> Result<()> {
        for (address, _) in self.tables.peer_addresses().into_iter().filter(|(_, n)| *n == number) {
            self.tables.remove_peer_address(address)?;
        }
        self.tables.remove_peer(number)
    }

    /// Writes the tables that differ; returns how many. `kept`: calls per second on kept-alive connections, by function.
    pub fn write_routes(&mut self, decision: &Decision, kept: &BTreeMap<FunctionName, f64>) -> Result<usize> {
        // A number alone is not enough: without its key and next hop a peer is no target.
        let written = self.peers.iter().filter(|(_, entry)| entry.peer.send.epoch != 0);
        let numbers: BTreeMap<NodeId, u32> = written.map(|(id, entry)| (id.clone(), entry.number)).collect();
        let mut written = 0;
        for (name, table) in &decision.functions {
            let Some(function) = self.number_function(name)? else {
                tracing::warn!("no room for a table of {name}: {MAX_FUNCTIONS} functions have one; HAProxy steers it");
                continue;
            };
            let kept = kept.get(name).copied().unwrap_or(0.0);
            let mut route = plan::route(name, table, function, decision.version, &numbers, kept, self.burst);
            if let Some(old) = self.routes.get(name) {
                // A new version alone is no difference.
                route.version = old.version;
                if *old == route {
                    continue;
                }
                route.version = decision.version;
            }
            self.tables.set_route(&key(name)?, &route)?;
            self.routes.insert(name.clone(), route);
            written += 1;
        }
        let gone: Vec<_> = self.functions.keys().filter(|n| !decision.functions.contains_key(*n)).cloned().collect();
        for name in gone {
            self.tables.remove_route(&key(&name)?)?;
            self.functions.remove(&name);
            self.routes.remove(&name);
            written += 1;
        }
        Ok(written)
    }

    /// Compares the kernel's tables with what was written, and puts right what differs; how many did.
    pub fn repair(&mut self) -> Result<usize> {
        let mut found: BTreeMap<Name, Route> = self.tables.routes().into_iter().collect();
        let mut repaired = 0;
        for (name, route) in &self.routes {
            let key = key(name)?;
            if found.remove(&key).as_ref() != Some(route) {
                self.tables.set_route(&key, route)?;
                repaired += 1;
            }
        }
        for foreign in found.keys() {
            self.tables.remove_route(foreign)?;
            repaired += 1;
        }
        let peers: BTreeMap<u32, Peer> = self.tables.peers().into_iter().collect();
        let known = self.peers.values().chain(self.inherited.values());
        // One without a tunnel has never been written.
        for entry in known.filter(|entry| entry.peer.tunnel != Be32::default()) {
            if peers.get(&entry.number) != Some(&entry.peer) {
                self.tables.set_peer(entry.number, &entry.peer)?;
                repaired += 1;
            }
        }
        Ok(repaired)
    }

    fn number_function(&mut self, name: &FunctionName) -> Result<Option<u32>> {
        if let Some(number) = self.functions.get(name) {
            return Ok(Some(*number));
        }
        let Some(number) = (0..MAX_FUNCTIONS as u32).find(|n| !self.functions.values().any(|taken| taken == n)) else {
            return Ok(None);
        };
        self.tables.reset_buckets(number)?;
        self.functions.insert(name.clone(), number);
        Ok(Some(number))
    }
}

fn key(name: &FunctionName) -> Result<Name> {
    Name::new(name.as_str()).with_context(|| format!("function name {name} is too long"))
}
