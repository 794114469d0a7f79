//! The agent's side of the overlay task.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::timeout,
};

use super::{
    counters::Counters,
    direct::{MAX_FRAME_BYTES, NodeState, Outgoing, StateError},
    federation::Federation,
    members::{Members, MembersChange, Membership},
    message::{EncodeError, Message},
    tally::{MessageCount, Tally},
};
use crate::name::NodeId;

/// Commands on their way to the overlay: more than there can be peers, so that a state for each fits.
pub(super) const COMMANDS: usize = 1024;
/// What the overlay is given to end by itself.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Command {
    Publish(Vec<u8>),
    SendState(PeerId, Outgoing),
    Shutdown,
}

/// What the overlay shows of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) listening: Vec<Multiaddr>,
    pub(super) connected: BTreeMap<NodeId, ConnectedPeer>,
}

/// A peer this node is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectedPeer {
    /// Its address on each connection.
    pub remotes: Vec<IpAddr>,
    /// What it says it runs, once known.
    pub agent: Option<String>,
    /// True if it speaks our direct protocol.
    pub direct: bool,
    /// Two nodes have its key.
    pub is_doubled: bool,
}

/// Why the overlay did not take something.
#[derive(Clone, Debug, PartialEq)]
pub enum OverlayError {
    Message(EncodeError),
    State(StateError),
    NotConnected(NodeId),
    Busy,
    Stopped,
}

impl fmt::Display for OverlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(why) => write!(f, "{why}"),
            Self::State(why) => write!(f, "{why}"),
            Self::NotConnected(node) => write!(f, "node {node} is not connected"),
            Self::Busy => write!(f, "{COMMANDS} commands wait for the overlay already"),
            Self::Stopped => write!(f, "the overlay has stopped"),
        }
    }
}

impl std::error::Error for OverlayError {}

/// Talks to the overlay task, which ends when the last handle or the event receiver is dropped. No call but
/// [`OverlayHandle::shutdown`] waits.
#[derive(Clone, Debug)]
pub struct OverlayHandle {
    pub(super) node_id: NodeId,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) view: watch::Receiver<View>,
    pub(super) counters: Arc<Counters>,
    pub(super) tally: Arc<Tally>,
    pub(super) membership: Arc<Membership>,
    pub(super) federation: Arc<Federation>,
    /// Nodes that the operator has named to find the others by.
    pub(super) bootstrap: Arc<BTreeSet<NodeId>>,
    pub(super) task: AbortHandle,
}

impl OverlayHandle {
    pub fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    /// Addresses this node listens on, without the peer id at the end.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.view.borrow().listening.clone()
    }

    pub fn connected(&self) -> BTreeMap<NodeId, ConnectedPeer> {
        self.view.borrow().connected.clone()
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What became of the messages of each peer: at most 257 peers, and fixed words.
    pub fn messages(&self) -> Vec<MessageCount> {
        self.tally.snapshot()
    }

    /// True if the node may take part, or may show that it may.
    pub fn is_member(&self, node: &NodeId) -> bool {
        self.federation.has_secret() || self.membership.has(node)
    }

    /// True if whoever reaches this node may take part.
    pub fn is_open(&self) -> bool {
        !self.federation.has_secret() && self.membership.current().nodes.is_none()
    }

    /// True if the operator has named the node, or told it the secret.
    pub fn vouches_for(&self, node: &NodeId) -> bool {
        self.bootstrap.contains(node) || self.membership.names(node) || self.federation.has_proven(node)
    }

    pub fn members(&self) -> Members {
        self.membership.current()
    }

    /// Reads the list of members again, if there is one. Peers that are no longer in it are disconnected and heard no
    /// more, though events from before may still be in the channel. A wrong file changes nothing but
    /// [`Members::error`].
    pub fn reload_members(&self) -> anyhow::Result<MembersChange> {
        let mut change = self.membership.reload()?;
        // Who knows the secret need not be listed.
        change.removed.retain(|node| !self.federation.has_proven(node));
        Ok(change)
    }

    /// Sends a message to all nodes. That there are none is no error: it is counted.
    pub fn publish(&self, message: &Message) -> Result<(), OverlayError> {
        self.command(Command::Publish(message.encode().map_err(OverlayError::Message)?))
    }

    /// Sends a state to one peer: again until it arrives, a newer one takes its place, or the peer is gone.
    pub fn send_state(&self, peer: &NodeId, state: &NodeState) -> Result<(), OverlayError> {
        let mut bytes = state.encode().map_err(OverlayError::State)?;
        self.federation.sign(&mut bytes, peer);
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(OverlayError::State(StateError::TooLong(bytes.len())));
        }
        let outgoing = Outgoing { sequence: state.sequence, bytes };
        let connected = self.is_member(peer) && self.view.borrow().connected.contains_key(peer);
        match peer.as_str().parse() {
            Ok(peer) if connected => self.command(Command::SendState(peer, outgoing)),
            _ => Err(OverlayError::NotConnected(peer.clone())),
        }
    }

    /// Ends the overlay, after a moment for states that are still on their way.
    pub async fn shutdown(&self) {
        let ended = async {
            if self.commands.send(Command::Shutdown).await.is_ok() {
                let mut view = self.view.clone();
                while view.changed().await.is_ok() {}
            }
        };
        if timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the overlay did not end within {SHUTDOWN_TIMEOUT:?}");
            self.task.abort();
        }
    }

    fn command(&self, command: Command) -> Result<(), OverlayError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OverlayError::Busy,
            mpsc::error::TrySendError::Closed(_) => OverlayError::Stopped,
        })
    }
}
