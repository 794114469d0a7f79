//! Maps in memory, with faults on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use anyhow::{Context as _, bail};

use super::{Answer, Control, IpAddr, Maps, Name, Patience, Peer, Result, Route};

#[derive(Default)]
pub(crate) struct Twin {
    pub(crate) routes: BTreeMap<Name, Route>,
    pub(crate) peers: BTreeMap<u32, Peer>,
    pub(crate) addresses: BTreeMap<IpAddr, u32>,
    pub(crate) control: Control,
    pub(crate) answers: BTreeMap<u32, Answer>,
    /// Numbers of functions whose buckets were reset.
    pub(crate) reset: Vec<u32>,
    /// Peers that flows name, and local addresses of sockets.
    pub(crate) named: BTreeSet<u32>,
    pub(crate) sockets: BTreeSet<Ipv4Addr>,
    /// Idle and live connections that a sweep finds.
    pub(crate) flows: (usize, usize),
    /// Writing these fails.
    pub(crate) bad_route: Option<Name>,
    pub(crate) bad_peer: Option<u32>,
    /// Successful writes and removals, all maps together.
    pub(crate) writes: usize,
}

impl Maps for Twin {
    fn routes(&self) -> Vec<(Name, Route)> {
        self.routes.iter().map(|(name, route)| (*name, *route)).collect()
    }

    fn set_route(&mut self, name: &Name, route: &Route) -> Result<()> {
        if self.bad_route == Some(*name) {
            bail!("cannot write a routing table");
        }
        self.writes += 1;
        self.routes.insert(*name, *route);
        Ok(())
    }

    fn remove_route(&mut self, name: &Name) -> Result<()> {
        self.writes += 1;
        self.routes.remove(name);
        Ok(())
    }

    fn reset_buckets(&mut self, function: u32) -> Result<()> {
        self.reset.push(function);
        Ok(())
    }

    fn peers(&self) -> Vec<(u32, Peer)> {
        self.peers.iter().map(|(number, peer)| (*number, *peer)).collect()
    }

    fn set_peer(&mut self, number: u32, peer: &Peer) -> Result<()> {
        if self.bad_peer == Some(number) {
            bail!("cannot write a peer");
        }
        self.writes += 1;
        self.peers.insert(number, *peer);
        Ok(())
    }

    fn remove_peer(&mut self, number: u32) -> Result<()> {
        self.writes += 1;
        self.peers.remove(&number);
        Ok(())
    }

    fn peer_addresses(&self) -> Vec<(IpAddr, u32)> {
        self.addresses.iter().map(|(address, number)| (*address, *number)).collect()
    }

    fn set_peer_address(&mut self, address: IpAddr, number: u32) -> Result<()> {
        self.writes += 1;
        self.addresses.insert(address, number);
        Ok(())
    }

    fn remove_peer_address(&mut self, address: IpAddr) -> Result<()> {
        self.writes += 1;
        self.addresses.remove(&address);
        Ok(())
    }

    fn control(&self) -> Result<Control> {
        Ok(self.control)
    }

    fn set_control(&mut self, control: &Control) -> Result<()> {
        self.writes += 1;
        self.control = *control;
        Ok(())
    }

    fn answer(&self, index: u32) -> Result<Answer> {
        self.answers.get(&index).copied().context("no such answer")
    }

    fn set_answer(&mut self, index: u32, answer: &Answer) -> Result<()> {
        self.writes += 1;
        self.answers.insert(index, *answer);
        Ok(())
    }

    fn named_peers(&self, _since_ns: u64) -> BTreeSet<u32> {
        self.named.clone()
    }

    fn socket_addresses(&self) -> Result<BTreeSet<Ipv4Addr>> {
        Ok(self.sockets.clone())
    }

    fn sweep(&mut self, _now_ns: u64, _patience: &Patience) -> Result<(usize, usize)> {
        let (idle, live) = std::mem::take(&mut self.flows);
        self.flows.1 = live;
        Ok((idle, live))
    }
}
