//! The library's part of one connection, whose streams are counted.
//!
//! A stream that breaks while nothing waits to be sent is renewed when the connection is looked at next; the library
//! forgets to ask for that, so it is looked at every second.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol, THandler, THandlerOutEvent,
    handler::{ConnectionEvent, DialUpgradeError},
};
use tokio::time::{Instant, Sleep, sleep};

use super::{Library, Off};
use crate::p2p::meter::Meter;

/// Streams of gossip of one direction on a connection: the library turns itself off when it has one more.
const MAX_STREAMS: u8 = 4;
const LOOK_EVERY: Duration = Duration::from_secs(1);

type LibraryHandler = THandler<Library>;

pub(in crate::p2p) struct Handler {
    library: LibraryHandler,
    opened: u8,
    taken: u8,
    off: Option<Off>,
    told: bool,
    /// A stream was asked for and is not there yet.
    opening: bool,
    next_look: Pin<Box<Sleep>>,
    meter: Arc<Meter>,
}

#[expect(clippy::large_enum_variant, reason = "nearly all are the larger one")]
#[derive(Debug)]
pub(in crate::p2p) enum FromHandler {
    Library(THandlerOutEvent<Library>),
    Off(Off),
}

impl Handler {
    pub(super) fn new(library: LibraryHandler, meter: Arc<Meter>) -> Self {
        Self {
            library,
            opened: 0,
            taken: 0,
            off: None,
            told: false,
            opening: false,
            next_look: Box::pin(sleep(LOOK_EVERY)),
            meter,
        }
    }
}

type Protocol<T> = SubstreamProtocol<<LibraryHandler as ConnectionHandler>::InboundProtocol, T>;
type Action<H> = ConnectionHandlerEvent<
    <H as ConnectionHandler>::OutboundProtocol,
    <H as ConnectionHandler>::OutboundOpenInfo,
    <H as ConnectionHandler>::ToBehaviour,
>;

impl ConnectionHandler for Handler {
    type FromBehaviour = <LibraryHandler as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = FromHandler;
    type InboundProtocol = <LibraryHandler as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <LibraryHandler as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <LibraryHandler as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <LibraryHandler as ConnectionHandler>::OutboundOpenInfo;

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
        // A queue is not empty only because nothing can be sent.
        let has_stream = self.off.is_none() && self.opened > 0 && !self.opening;
        let event = self.meter.watch(|| self.library.poll(cx), |event| has_stream && event.is_pending());
        self.opening |= matches!(event, Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { .. }));
        event.map(|event| event.map_custom(FromHandler::Library))
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
        self.opening &= !event.is_outbound();
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
