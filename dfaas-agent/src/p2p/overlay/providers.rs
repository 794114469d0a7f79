//! Nodes found by the records they leave with each other. A search that fails is counted, no more.

use std::time::Instant;

use libp2p::{
    PeerId,
    kad::{self, GetProvidersOk, InboundRequest, QueryId, QueryResult},
};

use super::Overlay;
use crate::p2p::{
    address::candidates,
    counters::Count,
    dht::{Chore, WANTED},
    dial::Source,
};

impl Overlay {
    pub(super) fn do_chores(&mut self) {
        while let Some(chore) = self.schedule.as_mut().and_then(|schedule| schedule.due(Instant::now())) {
            match chore {
                Chore::Advertise => self.advertise(),
                Chore::Search => self.search(),
            }
        }
    }

    /// Also if nobody is known: then the first who asks hears of us from us.
    fn advertise(&mut self) {
        let dht = &mut self.swarm.behaviour_mut().dht;
        let alone = !dht.knows_servers();
        if let Err(error) = dht.advertise() {
            tracing::warn!(%error, "cannot advertise this node");
            self.advertised(false);
        } else if alone {
            self.alone = true;
        }
    }

    fn search(&mut self) {
        self.found = 0;
        self.swarm.behaviour_mut().dht.search();
    }

    pub(super) fn on_dht(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => match result {
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                    self.found(id, providers);
                }
                QueryResult::GetProviders(Ok(GetProvidersOk::FinishedWithNoAdditionalRecord { .. })) => {
                    self.searched(Count::SearchDone);
                }
                QueryResult::GetProviders(Err(error)) if step.last => {
                    tracing::debug!(%error, "search for nodes failed");
                    self.searched(Count::SearchFailed);
                }
                QueryResult::StartProviding(result) => {
                    let alone = std::mem::take(&mut self.alone);
                    self.advertised(result.is_ok() && !alone);
                }
                _ => {}
            },
            kad::Event::InboundRequest { request: InboundRequest::AddProvider { record: Some(record) } } => {
                self.keep_record(record);
            }
            _ => {}
        }
    }

    fn found(&mut self, query: QueryId, providers: impl IntoIterator<Item = PeerId>) {
        for peer in providers {
            self.found += 1;
            if self.peers.contains_key(&peer) {
                continue;
            }
            let addresses = self.swarm.behaviour_mut().dht.addresses(peer);
            if self.dial.learn_hearsay(peer, addresses, Source::Records, Instant::now()) {
                tracing::debug!(%peer, "found a node's record");
                self.counters.add(Count::ProviderFound);
            }
        }
        if self.found >= WANTED {
            self.swarm.behaviour_mut().dht.finish(query);
        }
    }

    fn searched(&mut self, count: Count) {
        self.counters.add(count);
        if let Some(schedule) = &mut self.schedule {
            schedule.searched(Instant::now());
        }
    }

    fn advertised(&mut self, reached_somebody: bool) {
        self.counters.add(if reached_somebody { Count::Advertised } else { Count::AdvertiseFailed });
        if let Some(schedule) = &mut self.schedule {
            schedule.advertised(reached_somebody, Instant::now());
        }
    }

    /// The library has checked that the provider itself sent the record.
    fn keep_record(&mut self, record: kad::ProviderRecord) {
        let Some(remote) = self.remote(record.provider) else { return };
        let addresses = candidates(None, &record.addresses, record.provider, remote);
        if !self.swarm.behaviour_mut().dht.keep(record, addresses) {
            self.counters.add(Count::RecordRefused);
        }
    }
}
