//! The library's gossip, when it is off on a connection, and what waits for whom.
//!
//! The library renews a broken stream four times on a connection, silently gives up after that, and for good at once if
//! the peer did not know gossip yet when it was asked. The connection stays, and nobody hears anything over it: it has
//! to be made anew. Which it is, is told here.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, PublishError},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, behaviour::ConnectionClosed,
    },
};

use super::{
    Library, MESH, Off,
    handler::{FromHandler, Handler},
    waiting::Waiting,
};
use crate::p2p::counters::{Count, Counters};

/// Bytes that may wait for all neighbours together.
const MAX_WAITING_BYTES: u64 = 64 << 20;

type FromLibrary = THandlerOutEvent<Library>;

pub(in crate::p2p) struct Gossip {
    library: Library,
    counters: Arc<Counters>,
    topic: IdentTopic,
    waiting: Waiting<PeerId>,
    events: VecDeque<GossipEvent>,
}

#[derive(Debug)]
pub(in crate::p2p) enum GossipEvent {
    Library(gossipsub::Event),
    /// Nothing more is heard or said over this connection.
    Off {
        peer: PeerId,
        connection: ConnectionId,
        why: Off,
    },
    /// Too much waits for all neighbours, and most of it for this one.
    TooSlow {
        peer: PeerId,
    },
}

impl Gossip {
    pub(super) fn new(library: Library, topic: &IdentTopic, counters: Arc<Counters>) -> Self {
        Self {
            library,
            counters,
            topic: topic.clone(),
            waiting: Waiting::new(MAX_WAITING_BYTES),
            events: VecDeque::new(),
        }
    }

    /// Says something to all.
    pub(in crate::p2p) fn broadcast(&mut self, text: Vec<u8>) -> Result<MessageId, PublishError> {
        let bytes = text.len();
        let said = self.library.publish(self.topic.clone(), text);
        self.given(bytes);
        said
    }

    /// A message of so many bytes was judged: is passed on, or not.
    pub(in crate::p2p) fn judged(&mut self, id: &MessageId, from: &PeerId, verdict: MessageAcceptance, bytes: usize) {
        let is_passed_on = verdict == MessageAcceptance::Accept;
        self.library.report_message_validation_result(id, from, verdict);
        if is_passed_on {
            self.given(bytes);
        }
    }

    /// A message was given to the library, which has queued it for at most these neighbours.
    fn given(&mut self, bytes: usize) {
        let topic = self.topic.hash();
        let mesh: Vec<PeerId> = self.library.mesh_peers(&topic).copied().collect();
        let all = mesh.len() < MESH;
        let is_sent_all = |name: &str| all || name == "Floodsub";
        let others = self.library.peer_protocol().filter(|(_, kind)| is_sent_all(kind.as_static_ref()));
        let to: std::collections::BTreeSet<PeerId> = mesh.iter().chain(others.map(|(peer, _)| peer)).copied().collect();
        self.waiting.add(to, bytes);
        while let Some(peer) = self.waiting.too_slow() {
            self.events.push_back(GossipEvent::TooSlow { peer });
        }
    }
}

impl Deref for Gossip {
    type Target = Library;

    fn deref(&self) -> &Self::Target {
        &self.library
    }
}

impl DerefMut for Gossip {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.library
    }
}

impl NetworkBehaviour for Gossip {
    type ConnectionHandler = Handler;
    type ToSwarm = GossipEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let library = self.library.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(Handler::new(library, self.waiting.meter(peer)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let library = self.library.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(Handler::new(library, self.waiting.meter(peer)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established: 0, .. }) = event {
            self.waiting.gone(peer_id);
        }
        self.library.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            FromHandler::Library(event) => {
                if let FromLibrary::Message { invalid_messages, .. } = &event {
                    self.counters.add_many(Count::BroadcastUnverified, invalid_messages.len());
                }
                self.library.on_connection_handler_event(peer, connection, event);
            }
            FromHandler::Off(why) => self.events.push_back(GossipEvent::Off { peer, connection, why }),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => self.library.poll(cx).map(|action| action.map_out(GossipEvent::Library)),
        }
    }
}
