//! Foreign changes to the maps that only the agent writes.

use std::collections::BTreeMap;

use anyhow::Result;
use dfaas_common::{http::Name, peer::Peer, route::Route};

use super::{super::maps::Maps, Mirror, key};

impl<M: Maps> Mirror<M> {
    /// Compares the maps with what was written, and puts right what differs; how many entries did.
    pub(crate) fn repair(&mut self) -> Result<usize> {
        Ok(self.repair_routes()? + self.repair_peers()? + self.write_addresses()? + self.repair_values()?)
    }

    fn repair_routes(&mut self) -> Result<usize> {
        let mut found: BTreeMap<Name, Route> = self.maps.routes().into_iter().collect();
        let mut repaired = 0;
        for (name, route) in &self.routes {
            let key = key(name)?;
            if found.remove(&key).as_ref() != Some(route) {
                self.maps.set_route(&key, route)?;
                repaired += 1;
            }
        }
        for foreign in found.keys() {
            self.maps.remove_route(foreign)?;
            repaired += 1;
        }
        Ok(repaired)
    }

    fn repair_peers(&mut self) -> Result<usize> {
        let mut found: BTreeMap<u32, Peer> = self.maps.peers().into_iter().collect();
        let retired = self.retired.iter().map(|(number, peer)| (*number, *peer));
        let wanted: Vec<(u32, Peer)> = self.written().map(|entry| (entry.number, entry.peer)).chain(retired).collect();
        let mut repaired = 0;
        for (number, peer) in wanted {
            if found.remove(&number) != Some(peer) {
                self.maps.set_peer(number, &peer)?;
                repaired += 1;
            }
        }
        for foreign in found.keys() {
            self.maps.remove_peer(*foreign)?;
            repaired += 1;
        }
        Ok(repaired)
    }

    fn repair_values(&mut self) -> Result<usize> {
        let mut repaired = 0;
        if self.maps.control()? != self.control {
            self.maps.set_control(&self.control)?;
            repaired += 1;
        }
        for (index, answer) in &self.answers {
            if self.maps.answer(*index)? != *answer {
                self.maps.set_answer(*index, answer)?;
                repaired += 1;
            }
        }
        Ok(repaired)
    }
}
