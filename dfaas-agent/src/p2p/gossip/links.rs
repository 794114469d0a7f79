//! The library's gossip, and when it is off on a connection.
//!
//! The library renews a broken stream four times on a connection, silently gives up after that, and for good at once if
//! the peer did not know gossip yet when it was asked. The connection stays, and nobody hears anything over it: it has
//! to be made anew. Which it is, is told here.
//!
//! A stream that breaks while nothing waits to be sent is renewed when the connection is looked at next; the library
//! forgets to ask for that, so it is looked at every second.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    gossipsub,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError},
    },
};
use tokio::time::{Instant, Sleep, sleep};

/// Streams of gossip of one direction on a connection: the library turns itself off when it has one more.
const MAX_STREAMS: u8 = 4;
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(in crate::p2p) struct Gossip {
    library: gossipsub::Behaviour,
    off: VecDeque<GossipEvent>,
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
}

/// Why a connection carries no gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::p2p) enum Off {
    /// Its streams broke again and again.
    Broken,
    /// The peer did not know the protocol when it was asked.
    Unknown,
}

impl Gossip {
    pub(super) const fn new(library: gossipsub::Behaviour) -> Self {
        Self { library, off: VecDeque::new() }
    }
}

impl Deref for Gossip {
    type Target = gossipsub::Behaviour;

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
        self.library.handle_established_inbound_connection(connection, peer, local, remote).map(Handler::new)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.library.handle_established_outbound_connection(connection, peer, address, role, port).map(Handler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.library.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            FromHandler::Library(event) => self.library.on_connection_handler_event(peer, connection, event),
            FromHandler::Off(why) => self.off.push_back(GossipEvent::Off { peer, connection, why }),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.off.pop_front() {
            Some(off) => Poll::Ready(ToSwarm::GenerateEvent(off)),
            None => self.library.poll(cx).map(|action| action.map_out(GossipEvent::Library)),
        }
    }
}

type Library = THandler<gossipsub::Behaviour>;

/// The library's part of one connection, whose streams are counted.
pub(in crate::p2p) struct Handler {
    library: Library,
    opened: u8,
    taken: u8,
    off: Option<Off>,
    told: bool,
    next_look: Pin<Box<Sleep>>,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are the larger one")]
#[derive(Debug)]
pub(in crate::p2p) enum FromHandler {
    Library(THandlerOutEvent<gossipsub::Behaviour>),
    Off(Off),
}

impl Handler {
    fn new(library: Library) -> Self {
        Self { library, opened: 0, taken: 0, off: None, told: false, next_look: Box::pin(sleep(LOOK_EVERY)) }
    }
}

type Protocol<T> = SubstreamProtocol<<Library as ConnectionHandler>::InboundProtocol, T>;
type Action<H> = ConnectionHandlerEvent<
    <H as ConnectionHandler>::OutboundProtocol,
    <H as ConnectionHandler>::OutboundOpenInfo,
    <H as ConnectionHandler>::ToBehaviour,
>;

impl ConnectionHandler for Handler {
    type FromBehaviour = <Library as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = FromHandler;
    type InboundProtocol = <Library as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Library as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <Library as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <Library as ConnectionHandler>::OutboundOpenInfo;

    fn listen_protocol(&self) -> Protocol<Self::InboundOpenInfo> {
        self.library.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.library.connection_keep_alive()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Action<Self>> {
        if let Some(why) = self.off.filter(|_| !self.told) {
            self.told = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(FromHandler::Off(why)));
        }
        while self.next_look.poll_unpin(cx).is_ready() {
            self.next_look.as_mut().reset(Instant::now() + LOOK_EVERY);
        }
        self.library.poll(cx).map(|event| event.map_custom(FromHandler::Library))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.library.poll_close(cx).map(|event| event.map(FromHandler::Library))
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.library.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.opened = self.opened.saturating_add(event.is_outbound().into());
        self.taken = self.taken.saturating_add(event.is_inbound().into());
        if let ConnectionEvent::DialUpgradeError(DialUpgradeError {
            error: StreamUpgradeError::NegotiationFailed,
            ..
        }) = event
        {
            self.off = self.off.or(Some(Off::Unknown));
        } else if self.opened.max(self.taken) > MAX_STREAMS {
            self.off = self.off.or(Some(Off::Broken));
        }
        self.library.on_connection_event(event);
    }
}
