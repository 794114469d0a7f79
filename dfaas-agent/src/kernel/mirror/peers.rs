//! Peers: their numbers, keys, entries and addresses.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use anyhow::{Context as _, Result};
use dfaas_common::{
    address::AddressV4,
    packet::Be16,
    peer::{DEAD, MAX_PEERS, Peer, Seal},
};

use super::{
    super::{maps::Maps, network::NextHop, secrets::draw_seal},
    Mirror, PeerEntry,
};
use crate::name::NodeId;

/// What the data path must know of a peer, as far as it does not know it by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PeerFacts {
    pub(crate) tunnel: Ipv4Addr,
    pub(crate) service: SocketAddrV4,
    pub(crate) next_hop: NextHop,
    /// What the peer wants to see on packets to it.
    pub(crate) send: Seal,
    /// `dfaas_common::peer::{UP, DRAINING, DEAD}`.
    pub(crate) state: u32,
    /// Monotonic clock.
    pub(crate) expires_ns: u64,
}

impl PeerEntry {
    pub(super) fn is_written(&self) -> bool {
        self.peer.tunnel != AddressV4::UNSPECIFIED
    }

    /// By which the programs find it.
    fn addresses(&self) -> [IpAddr; 3] {
        [self.peer.tunnel, self.peer.service, self.peer.alias].map(|address| Ipv4Addr::from(address).into())
    }
}

impl<M: Maps> Mirror<M> {
    /// Peers of a former agent that have not been heard of since.
    pub(crate) fn inherited_peers(&self) -> usize {
        self.inherited.len()
    }

    pub(crate) fn peer_number(&self, node: &NodeId) -> Option<u32> {
        self.peers.get(node).map(|entry| entry.number)
    }

    /// All that have one.
    pub(crate) fn peer_numbers(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.peers.iter().map(|(node, entry)| (node, entry.number))
    }

    /// The alias of a peer that has a number.
    pub(crate) fn alias(&self, node: &NodeId) -> Option<Ipv4Addr> {
        self.peer_number(node).map(|number| self.alias_of(number))
    }

    fn alias_of(&self, number: u32) -> Ipv4Addr {
        // The network's own address is left out.
        Ipv4Addr::from(u32::from(self.aliases.0) + 1 + number)
    }

    /// The number of a peer, given once and kept; that of a former agent, if it knew the peer. `None`: there are no more.
    pub(crate) fn admit_peer(&mut self, node: &NodeId, tunnel: Ipv4Addr) -> Option<u32> {
        if let Some(entry) = self.peers.get(node) {
            return Some(entry.number);
        }
        let entry = if let Some(entry) = self.inherited.remove(&tunnel.into()) {
            entry
        } else {
            let number = self.number_at(tunnel.into()).or_else(|| self.free_number())?;
            PeerEntry { number, peer: self.retired.remove(&number).unwrap_or_default() }
        };
        let number = entry.number;
        self.peers.insert(node.clone(), entry);
        Some(number)
    }

    /// Of a peer that is gone, whose tunnel ended there: what names it means that machine.
    fn number_at(&self, tunnel: AddressV4) -> Option<u32> {
        self.retired.iter().find(|(_, peer)| peer.tunnel == tunnel).map(|(number, _)| *number)
    }

    fn free_number(&self) -> Option<u32> {
        let is_held = |n| self.peers.values().chain(self.inherited.values()).any(|entry| entry.number == n);
        (0..MAX_PEERS as u32).find(|n| !is_held(*n) && !self.retired.contains_key(n))
    }

    /// What the peer must put on packets to us. Drawn at first call.
    pub(crate) fn receive_seal(&mut self, node: &NodeId) -> Option<Seal> {
        let entry = self.peers.get_mut(node)?;
        if entry.peer.receive[0].epoch == 0 {
            entry.peer.receive[0] = draw_seal(0);
        }
        Some(entry.peer.receive[0])
    }

    /// Draws a new one for every peer; the old ones stay valid until the next call. They are in force once the peers are
    /// written again.
    pub(crate) fn rotate_seals(&mut self) {
        for entry in self.peers.values_mut() {
            let [current, _] = entry.peer.receive;
            entry.peer.receive = [draw_seal(current.epoch), current];
        }
    }

    /// Writes what is known of a peer.
    pub(crate) fn write_peer(&mut self, node: &NodeId, facts: &PeerFacts) -> Result<()> {
        self.receive_seal(node);
        let entry = self.peers.get(node).context("a peer without a number")?;
        let (number, old) = (entry.number, entry.peer);
        let peer = Peer {
            send: facts.send,
            receive: old.receive,
            expires_ns: facts.expires_ns,
            tunnel: facts.tunnel.into(),
            service: (*facts.service.ip()).into(),
            alias: self.alias_of(number).into(),
            ifindex: facts.next_hop.ifindex,
            mac: facts.next_hop.mac,
            service_port: Be16::new(facts.service.port()),
            state: facts.state,
            reserved2: 0,
        };
        self.maps.set_peer(number, &peer)?;
        self.peers.insert(node.clone(), PeerEntry { number, peer });
        if (old.tunnel, old.service, old.alias) != (peer.tunnel, peer.service, peer.alias) {
            self.write_addresses()?;
        }
        Ok(())
    }

    /// Ends all traffic with a peer at once. It keeps its number, which connections that were handed to it name.
    pub(crate) fn revoke_peer(&mut self, node: &NodeId) -> Result<()> {
        let Some(entry) = self.peers.get_mut(node).filter(|entry| entry.is_written()) else {
            return Ok(());
        };
        entry.peer =
            Peer { send: Seal::default(), receive: Default::default(), expires_ns: 0, state: DEAD, ..entry.peer };
        self.maps.set_peer(entry.number, &entry.peer)
    }

    /// Forgets a peer. Its number is free at once only if nothing can name it.
    pub(crate) fn remove_peer(&mut self, node: &NodeId) -> Result<()> {
        let Some(entry) = self.peers.remove(node) else { return Ok(()) };
        self.write_addresses()?;
        self.retire(entry)
    }

    /// Forgets the peers that a former agent knew and nobody has heard of since; how many.
    pub(crate) fn forget_inherited(&mut self) -> Result<usize> {
        let forgotten = std::mem::take(&mut self.inherited);
        self.write_addresses()?;
        let count = forgotten.len();
        forgotten.into_values().try_for_each(|entry| self.retire(entry))?;
        Ok(count)
    }

    /// Its entry stays, dead and without keys: connections that name its number must not become another's.
    fn retire(&mut self, PeerEntry { number, peer }: PeerEntry) -> Result<()> {
        if peer.tunnel == AddressV4::UNSPECIFIED {
            return Ok(());
        }
        let peer = Peer { send: Seal::default(), receive: Default::default(), state: DEAD, ..peer };
        self.retired.insert(number, peer);
        self.maps.set_peer(number, &peer)
    }

    /// Frees the numbers of peers that were written last before `before_ns` (monotonic clock), unless a connection names them
    /// yet, forwarded or taken.
    pub(crate) fn release(&mut self, before_ns: u64) -> Result<()> {
        let old = |(number, peer): (&u32, &Peer)| (peer.expires_ns < before_ns).then_some(*number);
        let old: Vec<u32> = self.retired.iter().filter_map(old).collect();
        if old.is_empty() {
            return Ok(());
        }
        let (named, sockets) = (self.maps.named_peers(before_ns), self.maps.socket_addresses()?);
        for number in old {
            if !named.contains(&number) && !sockets.contains(&self.alias_of(number)) {
                self.maps.remove_peer(number)?;
                self.retired.remove(&number);
            }
        }
        Ok(())
    }

    /// All peers that have been written, also those of a former agent.
    pub(super) fn written(&self) -> impl Iterator<Item = &PeerEntry> {
        self.peers.values().chain(self.inherited.values()).filter(|entry| entry.is_written())
    }

    /// Has the map of addresses say what the peers' entries say; how many of its own entries were another. An address that
    /// two peers claim is that of the lower number: a newcomer takes nothing away.
    pub(super) fn write_addresses(&mut self) -> Result<usize> {
        let mut wanted = BTreeMap::new();
        let mut entries: Vec<_> = self.written().collect();
        entries.sort_by_key(|entry| entry.number);
        for entry in entries {
            for address in entry.addresses() {
                wanted.entry(address).or_insert(entry.number);
            }
        }
        let mut changed = 0;
        for (address, number) in self.maps.peer_addresses() {
            match wanted.get(&address) {
                Some(right) if *right == number => {
                    wanted.remove(&address);
                }
                Some(_) => {}
                None => {
                    self.maps.remove_peer_address(address)?;
                    changed += 1;
                }
            }
        }
        for (address, number) in wanted {
            self.maps.set_peer_address(address, number)?;
            changed += 1;
        }
        Ok(changed)
    }
}
