//! Whole nodes and a foreign peer on one network.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
};

use dfaas_agent::{
    kernel::{pins::Pins, tables::Tables},
    status::{PeerStatus, Status},
};
use dfaas_common::route::Route;
use dfaas_tests::federation::{Federation, Options};

use crate::foreign::{ForeignPeer, Setup};

/// A federation that shows the nodes' logs if the test fails.
pub(crate) struct Bed {
    federation: Option<Federation>,
    _directory: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new(change: impl FnOnce(&mut Options)) -> Self {
        let agent = Path::new(env!("CARGO_BIN_EXE_federation")).with_file_name("dfaas-agent");
        let directory = tempfile::tempdir().unwrap();
        let mut options = Options::new(&agent, directory.path());
        options.nodes = 1;
        options.guests = 1;
        change(&mut options);
        let federation = Federation::start(options, &|_| {}).unwrap_or_else(|error| panic!("{error:#}"));
        Self { federation: Some(federation), _directory: directory }
    }

    /// Ends all agents; they must do so without complaint.
    pub(crate) fn stop(mut self) {
        let troubles = self.federation.take().map(Federation::stop);
        assert_eq!(troubles, Some(Vec::new()));
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
    type Target = Federation;
    fn deref(&self) -> &Federation {
        self.federation.as_ref().expect("it is stopped at the end only")
    }
}

impl DerefMut for Bed {
    fn deref_mut(&mut self) -> &mut Federation {
        self.federation.as_mut().expect("it is stopped at the end only")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(federation) = self.federation.as_ref().filter(|_| std::thread::panicking()) {
            federation.nodes.iter().for_each(|node| eprintln!("{}: {}", node.name, node.last_lines()));
        }
    }
}
