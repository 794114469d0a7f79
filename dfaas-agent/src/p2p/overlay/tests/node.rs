//! A node of these tests, and waiting for what must happen.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, identity::Keypair, multiaddr::Protocol};
use tokio::sync::mpsc;

use crate::{
    kernel::mode::Mode,
    name::NodeId,
    p2p::{
        OverlayEvent, OverlayHandle, OverlaySettings,
        direct::{NodeState, VERSION},
        message::Message,
        start,
    },
};

/// Long enough for a loaded machine; reached only where a test fails.
const DEADLINE: Duration = Duration::from_mins(1);

pub(super) struct Node {
    pub(super) handle: OverlayHandle,
    pub(super) events: mpsc::Receiver<OverlayEvent>,
    pub(super) keypair: Keypair,
    /// Address and peer id.
    pub(super) address: Multiaddr,
}

impl Node {
    pub(super) async fn start(bootstrap: &[&Multiaddr]) -> Self {
        Self::start_with(bootstrap, |_| {}).await
    }

    pub(super) async fn restart(keypair: Keypair, listen: Multiaddr, bootstrap: &[&Multiaddr]) -> Self {
        Self::start_with(bootstrap, |settings| {
            settings.keypair = keypair;
            settings.listen = vec![listen];
        })
        .await
    }

    /// A node on loopback, with what `change` changes.
    pub(super) async fn start_with(bootstrap: &[&Multiaddr], change: impl FnOnce(&mut OverlaySettings)) -> Self {
        let mut settings = OverlaySettings::new(Keypair::generate_ed25519());
        settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        settings.bootstrap = bootstrap.iter().copied().cloned().collect();
        settings.search_pause = Duration::from_secs(1);
        // These tests broadcast as fast as they can.
        settings.message_rate = 1e6;
        change(&mut settings);
        let keypair = settings.keypair.clone();
        let (handle, events) = start(settings).unwrap();
        let mut node = Self { handle, events, keypair, address: Multiaddr::empty() };
        let address = node.wait("listening", |event| match event {
            OverlayEvent::Listening(address) => Some(address),
            _ => None,
        });
        node.address = address.await.with(Protocol::P2p(node.keypair.public().to_peer_id()));
        node
    }

    /// Listen address without the peer id.
    pub(super) fn listen(&self) -> Multiaddr {
        self.handle.listen_addresses().remove(0)
    }

    pub(super) fn id(&self) -> NodeId {
        self.handle.node_id().clone()
    }

    /// The first event that `pick` takes; those before it are lost.
    pub(super) async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(OverlayEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.unwrap_or_else(|| panic!("overlay ended before: {what}"));
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("never happened: {what}"))
    }

    pub(super) async fn connected_to(&mut self, other: &NodeId) {
        let pick = |event| matches!(event, OverlayEvent::Connected { peer, .. } if peer == *other).then_some(());
        self.wait("connected", pick).await;
    }

    pub(super) async fn disconnected_from(&mut self, other: &NodeId) {
        let pick = |event| matches!(event, OverlayEvent::Disconnected { peer } if peer == *other).then_some(());
        self.wait("disconnected", pick).await;
    }

    /// Texts broadcast by others since the last call.
    pub(super) fn texts(&mut self) -> Vec<(NodeId, String)> {
        let mut texts = vec![];
        while let Ok(event) = self.events.try_recv() {
            if let OverlayEvent::Broadcast { from, message: Message::Text(text) } = event {
                texts.push((from, text));
            }
        }
        texts
    }
}

pub(super) fn state(started_ms: u64, sequence: u64) -> NodeState {
    NodeState {
        version: VERSION,
        sequence,
        started_ms,
        mode: Mode::Observe,
        service: None,
        tunnel: None,
        proxy: None,
        tunnel_key: None,
        functions: BTreeMap::new(),
        margin: None,
        draining: false,
        leaving: false,
    }
}

/// Tries again and again until it is so.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let again = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// Broadcasts from `sender` until all others hear it: then gossip knows its ways.
pub(super) async fn until_heard(sender: &Node, others: &mut [&mut Node]) {
    let mut heard = vec![false; others.len()];
    until("all hear a broadcast", || {
        sender.handle.publish(&Message::Text("probe".into())).unwrap();
        for (node, heard) in others.iter_mut().zip(&mut heard) {
            *heard |= node.texts().iter().any(|(from, _)| *from == sender.id());
        }
        heard.iter().all(|heard| *heard)
    })
    .await;
}
