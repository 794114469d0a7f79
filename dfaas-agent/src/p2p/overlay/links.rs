//! Connections: made, lost, failed, and who is at the other end.

use std::time::Instant;

use futures::FutureExt;
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{
    Overlay,
    peers::{About, Link, Peer},
};
use crate::p2p::{
    address::{candidates, ip, split_peer},
    counters::Count,
    dht,
    event::OverlayEvent,
    gossip::Off,
    names::{self, SystemNames},
    swarm::BehaviourEvent,
};

impl Overlay {
    pub(super) fn on_link(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => self.dial_failed(peer, &error),
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                tracing::debug!(address = %send_back_addr, %error, "incoming connection failed");
                self.counters.add(Count::ConnectionRefused);
            }
            _ => {}
        }
    }

    fn established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let (Some(remote), Ok(node)) = (ip(endpoint.get_remote_address()), peer.to_base58().parse()) else {
            tracing::warn!(%peer, address = %endpoint.get_remote_address(), "connection without an ip address closed");
            self.swarm.close_connection(connection);
            return;
        };
        let dialled = match endpoint {
            ConnectedPoint::Dialer { address, .. } => {
                Some(split_peer(address).map_or(address.clone(), |(_, bare)| bare))
            }
            ConnectedPoint::Listener { .. } => None,
        };
        self.dial.connected(peer, Instant::now());
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(node, Instant::now()));
        let first = entry.links.is_empty();
        entry.links.insert(connection, Link { made: Instant::now(), remote, dialled, is_mute: false });
        if first {
            tracing::debug!(%peer, %remote, "connected");
            self.outbox.connected(entry.node.clone(), remote);
        }
        self.show(peer);
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.links.remove(&connection);
        if entry.links.is_empty() {
            tracing::debug!(%peer, "disconnected");
            self.outbox.disconnected(entry.node.clone());
            self.lanes.forget(peer);
            self.dial.lost(peer, Instant::now(), rand::random());
        }
        self.show(peer);
        self.peers.retain(|_, entry| !entry.links.is_empty());
    }

    pub(super) fn dial_due(&mut self) {
        for (peer, addresses) in self.dial.due(Instant::now()) {
            if addresses.iter().any(names::is_named) {
                let found = async move { (peer, names::resolve(peer, addresses, &SystemNames).await) };
                self.looking_up.push(found.boxed());
            } else {
                self.dial(peer, addresses);
            }
        }
    }

    pub(super) fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        // A port of its own for each dial: two nodes that dial each other from their listen ports at the
        // same time would meet in one TCP connection, both as its client.
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(peer, &error);
        }
    }

    pub(super) fn dial_failed(&mut self, peer: PeerId, error: &DialError) {
        if let DialError::DialPeerConditionFalse(_) = error
            && self.peers.contains_key(&peer)
        {
            self.dial.connected(peer, Instant::now());
            return;
        }
        // Failures of dials that were not planned here count for nothing.
        let Some(failures) = self.dial.failed(peer, Instant::now(), rand::random()) else { return };
        self.counters.add(Count::DialFailed);
        if failures == 1 {
            tracing::info!(%peer, %error, "cannot connect, trying again");
        } else {
            tracing::debug!(%peer, %error, failures, "cannot connect");
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { connection_id, peer_id: peer, info } = event else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let Some(link) = entry.links.get(&connection_id) else { return };
        let addresses = candidates(link.dialled.as_ref(), &info.listen_addrs, peer, link.remote);
        let about = About::new(&info.agent_version, &info.protocols);
        if about.is_node() {
            entry.addresses.clone_from(&addresses);
            self.dial.learn_known(peer, addresses.clone(), Instant::now());
        }
        if let Some(schedule) = &mut self.schedule
            && info.protocols.contains(&dht::PROTOCOL)
        {
            self.swarm.behaviour_mut().dht.learn(peer, &addresses);
            schedule.met(Instant::now());
        }
        if entry.about.as_ref() != Some(&about) {
            entry.about = Some(about);
            entry.identified = Some(Instant::now());
            entry.told = false;
            self.tell_identified();
            self.show(peer);
        }
    }

    /// Tells who the peers are, as far as the agent does not know and there is room.
    pub(super) fn tell_identified(&mut self) {
        for entry in self.peers.values_mut().filter(|entry| !entry.told) {
            let Some(About { agent, protocols }) = entry.about.clone() else { continue };
            entry.told = self.outbox.offer(OverlayEvent::Identified { peer: entry.node.clone(), agent, protocols });
        }
    }

    /// Ends connections with peers that turned out to be no nodes, such as servers of a public table of records: they
    /// would take the places of nodes, and with those who do not say what they are. Bootstrap peers that say it stay.
    /// Whoever is to show a secret, and does not, is a stranger too.
    pub(super) fn part_with_strangers(&mut self) {
        let now = Instant::now();
        let is_stranger = |(peer, entry): &(&PeerId, &Peer)| {
            let stays = entry.about.is_some() && self.dial.is_bootstrap(peer);
            let is_secretive = self.federation.has_secret() && entry.has_stayed(now) && !self.may_speak(&entry.node);
            is_secretive || (entry.is_stranger(now) && !stays)
        };
        for peer in self.peers.iter().filter(is_stranger).map(|(peer, _)| *peer).collect::<Vec<_>>() {
            // Fails if it has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// A connection that carries no gossip any more is made anew.
    pub(super) fn gossip_off(&mut self, peer: PeerId, connection: ConnectionId, why: Off) {
        tracing::debug!(%peer, ?why, "no gossip over this connection any more");
        let link = self.peers.get_mut(&peer).and_then(|entry| entry.links.get_mut(&connection));
        match (why, link) {
            // If it turns out to be one that should speak it.
            (Off::Unknown, Some(link)) => link.is_mute = true,
            (Off::Unknown, None) => {}
            (Off::Broken, _) => self.renew(connection),
        }
    }

    /// Ends connections without gossip with peers who say that they speak it: they were asked before they did.
    pub(super) fn renew_mute(&mut self) {
        let speakers = self.peers.values().filter(|entry| entry.about.as_ref().is_some_and(About::speaks_gossip));
        let mute = speakers.flat_map(|entry| entry.links.iter().filter(|(_, link)| link.is_mute));
        for connection in mute.map(|(connection, _)| *connection).collect::<Vec<_>>() {
            self.renew(connection);
        }
    }

    fn renew(&mut self, connection: ConnectionId) {
        // False if it has gone by itself, or is about to.
        if self.swarm.close_connection(connection) {
            self.counters.add(Count::GossipOff);
        }
    }

    /// Its queue goes with the connection.
    pub(super) fn too_slow(&mut self, peer: PeerId) {
        tracing::info!(%peer, "disconnected: it takes messages too slowly, and too many wait");
        self.counters.add(Count::TooSlow);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    /// Brings what the handle shows of a peer up to date.
    pub(super) fn show(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get(&peer) else { return };
        let (node, shown) = (entry.node.clone(), (!entry.links.is_empty()).then(|| entry.view()));
        self.view.send_modify(|view| {
            match shown {
                Some(peer) => view.connected.insert(node, peer),
                None => view.connected.remove(&node),
            };
        });
    }
}
