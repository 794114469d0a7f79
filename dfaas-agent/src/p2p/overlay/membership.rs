//! The list of members in force: who may connect, and whom to dial.

use std::collections::BTreeSet;

use libp2p::PeerId;

use super::Overlay;
use crate::name::NodeId;

impl Overlay {
    /// True if what a node says is listened to.
    pub(super) fn may_speak(&self, node: &NodeId) -> bool {
        if self.federation.has_secret() {
            self.federation.has_proven(node) || self.members.borrow().names(node)
        } else {
            self.members.borrow().has(node)
        }
    }

    /// Brings connections in line with the list: those of peers that are not in it are closed.
    pub(super) fn obey_members(&mut self) {
        let listed = self.members.borrow_and_update().nodes.clone();
        // With a secret the list keeps nobody out.
        let Some(nodes) = listed.filter(|_| !self.federation.has_secret()) else { return };
        let members: BTreeSet<PeerId> = nodes.iter().filter_map(|node| node.as_str().parse().ok()).collect();
        if members.is_empty() {
            tracing::warn!("the list of members is empty: nobody may connect");
        }
        if let Some(allowed) = self.swarm.behaviour_mut().members.as_mut() {
            let old: Vec<PeerId> = allowed.allowed_peers().iter().copied().collect();
            let gone: Vec<PeerId> = old.into_iter().filter(|peer| !members.contains(peer)).collect();
            for peer in &gone {
                allowed.disallow_peer(*peer);
                tracing::info!(%peer, "no longer a member");
            }
            for peer in &members {
                allowed.allow_peer(*peer);
            }
        }
        for peer in self.dial.bootstrap().filter(|peer| !members.contains(peer)) {
            tracing::warn!(%peer, "bootstrap node is no member: not dialled");
        }
        self.dial.set_members(members);
    }
}
