//! The operations on maps by which the kernel is told what to do, apart from the maps themselves: so that what the agent
//! makes of them can be tested without a kernel.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::Result;
use dfaas_common::{
    flow::Patience,
    http::Name,
    peer::Peer,
    route::Route,
    settings::{Answer, Control},
};

use super::tables::Tables;

/// The maps that the agent alone writes. Removing what is not there is no error.
pub(crate) trait Maps {
    fn routes(&self) -> Vec<(Name, Route)>;
    fn set_route(&mut self, name: &Name, route: &Route) -> Result<()>;
    fn remove_route(&mut self, name: &Name) -> Result<()>;
    /// Forgets what a function's number has used up, before it goes to another function.
    fn reset_buckets(&mut self, function: u32) -> Result<()>;

    fn peers(&self) -> Vec<(u32, Peer)>;
    fn set_peer(&mut self, number: u32, peer: &Peer) -> Result<()>;
    fn remove_peer(&mut self, number: u32) -> Result<()>;

    fn peer_addresses(&self) -> Vec<(IpAddr, u32)>;
    fn set_peer_address(&mut self, address: IpAddr, number: u32) -> Result<()>;
    fn remove_peer_address(&mut self, address: IpAddr) -> Result<()>;

    fn control(&self) -> Result<Control>;
    fn set_control(&mut self, control: &Control) -> Result<()>;

    fn answer(&self, index: u32) -> Result<Answer>;
    fn set_answer(&mut self, index: u32, answer: &Answer) -> Result<()>;

    /// Peers that a forwarded connection names, or a decision that was looked at since `since_ns` (monotonic clock).
    fn named_peers(&self, since_ns: u64) -> BTreeSet<u32>;
    /// Addresses at this end of the machine's TCP connections.
    fn socket_addresses(&self) -> Result<BTreeSet<Ipv4Addr>>;

    /// Forgets forwarded connections that have been silent for too long at `now_ns` (monotonic clock); how many, and how many
    /// are left.
    fn sweep(&mut self, now_ns: u64, patience: &Patience) -> Result<(usize, usize)>;
}

/// Methods of the same name, with the bodies where the maps are.
impl Maps for Tables {
    fn routes(&self) -> Vec<(Name, Route)> {
        self.routes()
    }
    fn set_route(&mut self, name: &Name, route: &Route) -> Result<()> {
        self.set_route(name, route)
    }
    fn remove_route(&mut self, name: &Name) -> Result<()> {
        self.remove_route(name)
    }
    fn reset_buckets(&mut self, function: u32) -> Result<()> {
        self.reset_buckets(function)
    }
    fn peers(&self) -> Vec<(u32, Peer)> {
        self.peers()
    }
    fn set_peer(&mut self, number: u32, peer: &Peer) -> Result<()> {
        self.set_peer(number, peer)
    }
    fn remove_peer(&mut self, number: u32) -> Result<()> {
        self.remove_peer(number)
    }
    fn peer_addresses(&self) -> Vec<(IpAddr, u32)> {
        self.peer_addresses()
    }
    fn set_peer_address(&mut self, address: IpAddr, number: u32) -> Result<()> {
        self.set_peer_address(address, number)
    }
    fn remove_peer_address(&mut self, address: IpAddr) -> Result<()> {
        self.remove_peer_address(address)
    }
    fn control(&self) -> Result<Control> {
        self.control()
    }
    fn set_control(&mut self, control: &Control) -> Result<()> {
        self.set_control(control)
    }
    fn answer(&self, index: u32) -> Result<Answer> {
        self.answer(index)
    }
    fn set_answer(&mut self, index: u32, answer: &Answer) -> Result<()> {
        self.set_answer(index, answer)
    }
    fn named_peers(&self, since_ns: u64) -> BTreeSet<u32> {
        self.named_peers(since_ns)
    }
    fn socket_addresses(&self) -> Result<BTreeSet<Ipv4Addr>> {
        super::sockets::addresses()
    }
    fn sweep(&mut self, now_ns: u64, patience: &Patience) -> Result<(usize, usize)> {
        self.sweep(now_ns, patience)
    }
}

#[cfg(test)]
pub(crate) mod twin;
