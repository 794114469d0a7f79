//! Whole nodes and a foreign peer on one network.

use std::ops::{Deref, DerefMut};

use dfaas_agent::{
    kernel::{pins::Pins, tables::Tables},
    status::{PeerStatus, Status},
};
use dfaas_common::route::Route;
use dfaas_tests::federation::{Options, Watched};

use crate::foreign::{ForeignPeer, Setup};

/// A federation with room for foreign peers.
pub(crate) struct Bed(Watched);

impl Bed {
    pub(crate) fn new(change: impl FnOnce(&mut Options)) -> Self {
        Self(Watched::start(|options| {
            options.nodes = 1;
            options.guests = 1;
            change(options);
        }))
    }

    /// Ends all agents; they must do so without complaint.
    pub(crate) fn stop(self) {
        self.0.stop();
    }

    /// Starts a foreign peer on a guest, at the port that agents have.
    pub(crate) fn foreign(&self, guest: usize, setup: Setup) -> ForeignPeer {
        let host = self.guest(guest);
        let listen = format!("/ip4/{}/tcp/31600", host.address);
        ForeignPeer::inside(&host.namespace, Setup { listen: &listen, ..setup })
    }

    /// Where a node's overlay is.
    pub(crate) fn overlay_address(&self, node: usize) -> String {
        let node = &self.nodes[node];
        format!("/ip4/{}/tcp/31600/p2p/{}", node.address, node.id)
    }

    pub(crate) fn state(&self, node: usize) -> Status {
        self.status(node).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// A peer as a node sees it.
    pub(crate) fn seen(&self, node: usize, peer: &ForeignPeer) -> Option<PeerStatus> {
        self.state(node).peers.into_iter().find(|seen| seen.node == peer.id)
    }

    /// The kernel's own table of a function, read from the map.
    pub(crate) fn route(&self, node: usize, function: &str) -> Route {
        let tables = Tables::open(&Pins::new(&self.nodes[node].pin_dir)).unwrap().expect("the maps are pinned");
        let is_it = |route: &Route| route.name.iter().zip(function.bytes()).all(|(a, b)| a.cast_unsigned() == b);
        let found = tables.routes().into_iter().find(|(_, route)| is_it(route));
        found.unwrap_or_else(|| panic!("no table of {function}")).1
    }
}

impl Deref for Bed {
    type Target = Watched;
    fn deref(&self) -> &Watched {
        &self.0
    }
}

impl DerefMut for Bed {
    fn deref_mut(&mut self) -> &mut Watched {
        &mut self.0
    }
}
