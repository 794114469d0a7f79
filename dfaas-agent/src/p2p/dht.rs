//! Kademlia as the original sets it up: a server, provider records only, one key that all nodes of a federation
//! provide.
//!
//! A wrapper, because the library dials whatever address it is told: here only those pass that [`dialable`] lets.

mod schedule;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    kad::{
        self, BucketInserts, Mode, ProviderRecord, QueryId, RecordKey, StoreInserts,
        store::{MemoryStore, MemoryStoreConfig, RecordStore},
    },
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::{ExternalAddrConfirmed, ExternalAddrExpired},
        dial_opts::DialOpts,
    },
};
use sha2::{Digest, Sha256};

pub(super) use self::schedule::{Chore, Schedule};
use super::address::dialable;

pub const DEFAULT_RENDEZVOUS: &str = "dfaasagent-mYRGdJPC3chmJ";
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");
/// Providers one search asks for, as in the original.
pub(super) const WANTED: usize = 100;
/// Longest search or advertisement, as in the original.
const QUERY_TIMEOUT: Duration = Duration::from_mins(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const PARALLEL: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
/// Who tells of a record is not known: it may be somebody on our own network, who names addresses of that.
const SOMEBODY_HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const REFRESH: Duration = Duration::from_mins(10);
const RECORD_LIFETIME: Duration = Duration::from_hours(48);
/// Records kept for this federation; with eight addresses each they fit into an answer.
const MAX_PROVIDERS: usize = 200;
/// Records kept for others, who may share the table: keys, and providers of each.
const MAX_FOREIGN_KEYS: usize = 64;
const MAX_FOREIGN_PROVIDERS: usize = 20;
const MAX_PACKET_BYTES: usize = 128 * 1024;

pub(super) struct Dht {
    kad: kad::Behaviour<MemoryStore>,
    key: RecordKey,
    /// Addresses that may be dialled are those somebody here could tell: a node that listens on loopback only takes
    /// loopback addresses.
    told_at: IpAddr,
    enabled: bool,
}

impl Dht {
    /// Without a rendezvous it takes no part: it neither asks nor answers.
    pub(super) fn new(own: PeerId, rendezvous: Option<&str>, only_loopback: bool) -> Self {
        let enabled = rendezvous.is_some();
        let mut config = kad::Config::new(PROTOCOL);
        config
            .set_parallelism(PARALLEL)
            .set_query_timeout(QUERY_TIMEOUT)
            .set_substreams_timeout(REQUEST_TIMEOUT)
            .set_periodic_bootstrap_interval(Some(REFRESH))
            .set_provider_record_ttl(Some(RECORD_LIFETIME))
            // Schedule has the times.
            .set_provider_publication_interval(None)
            .set_record_filtering(StoreInserts::FilterBoth)
            .set_caching(kad::Caching::Disabled)
            .set_max_packet_size(MAX_PACKET_BYTES);
        if !enabled {
            config.set_periodic_bootstrap_interval(None).set_kbucket_inserts(BucketInserts::Manual);
        }
        let limits = MemoryStoreConfig {
            max_records: 0,
            max_value_bytes: 0,
            max_providers_per_key: MAX_PROVIDERS,
            max_provided_keys: MAX_FOREIGN_KEYS + 1,
        };
        let mut kad = kad::Behaviour::with_config(own, MemoryStore::with_config(own, limits), config);
        kad.set_mode(Some(if enabled { Mode::Server } else { Mode::Client }));
        let told_at = if only_loopback { Ipv4Addr::LOCALHOST } else { SOMEBODY_HERE };
        Self { kad, key: rendezvous_key(rendezvous.unwrap_or_default()), told_at: told_at.into(), enabled }
    }

    /// Where a peer that speaks the protocol may be dialled.
    pub(super) fn learn(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        for address in addresses.iter().filter(|_| self.enabled) {
            self.kad.add_address(&peer, address.clone());
        }
    }

    /// True if some peer is known that keeps records.
    pub(super) fn knows_servers(&mut self) -> bool {
        self.kad.kbuckets().next().is_some()
    }

    /// The query is over before long in any case; `Err` if the store is full, which holds our own key from the start.
    pub(super) fn advertise(&mut self) -> Result<QueryId, kad::store::Error> {
        self.kad.start_providing(self.key.clone())
    }

    pub(super) fn search(&mut self) {
        self.kad.get_providers(self.key.clone());
    }

    pub(super) fn finish(&mut self, query: QueryId) {
        if let Some(mut query) = self.kad.query_mut(&query) {
            query.finish();
        }
    }

    /// Dialable addresses of a provider, while the query that found it runs.
    pub(super) fn addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let stored = self.kad.store_mut().providers(&self.key).into_iter();
        let stored = stored.filter(|record| record.provider == peer).flat_map(|record| record.addresses);
        let mut addresses: BTreeSet<Multiaddr> = stored.collect();
        // The library shows what it has learned in the course of a query only to those who dial.
        let query = self.kad.handle_pending_outbound_connection(
            ConnectionId::new_unchecked(0),
            Some(peer),
            &[],
            Endpoint::Dialer,
        );
        addresses.extend(query.unwrap_or_default());
        self.allowed(peer, addresses)
    }

    /// Keeps the record of a connected peer, with the given addresses in place of its own; false if there is no room.
    pub(super) fn keep(&mut self, mut record: ProviderRecord, addresses: Vec<Multiaddr>) -> bool {
        let is_ours = record.key == self.key;
        let store = self.kad.store_mut();
        let known = store.providers(&record.key);
        let most = if is_ours { MAX_PROVIDERS } else { MAX_FOREIGN_PROVIDERS };
        let has_room = known.len() < most || known.iter().any(|kept| kept.provider == record.provider);
        record.addresses = addresses;
        has_room && store.add_provider(record).is_ok()
    }

    fn is_for_others(&self, address: &Multiaddr) -> bool {
        dialable(address, PeerId::random(), self.told_at).is_some()
    }

    fn allowed(&self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
        addresses.into_iter().filter_map(|address| dialable(&address, peer, self.told_at)).collect()
    }
}

/// SHA-256 of the text, as a multihash: what nodes of one federation provide.
fn rendezvous_key(rendezvous: &str) -> RecordKey {
    let mut multihash = vec![0x12, 0x20];
    multihash.extend(Sha256::digest(rendezvous.as_bytes()));
    RecordKey::new(&multihash)
}

impl NetworkBehaviour for Dht {
    type ConnectionHandler = <kad::Behaviour<MemoryStore> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = kad::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let found = self.kad.handle_pending_outbound_connection(connection, peer, addresses, role)?;
        Ok(peer.map(|peer| self.allowed(peer, found)).unwrap_or_default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // The library puts only proven addresses into a record. Ours name what we listen on, as the original's do.
        match event {
            FromSwarm::NewListenAddr(listen) if self.is_for_others(listen.addr) => {
                let confirmed = ExternalAddrConfirmed { addr: listen.addr };
                self.kad.on_swarm_event(FromSwarm::ExternalAddrConfirmed(confirmed));
            }
            FromSwarm::ExpiredListenAddr(listen) => {
                let expired = ExternalAddrExpired { addr: listen.addr };
                self.kad.on_swarm_event(FromSwarm::ExternalAddrExpired(expired));
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.kad.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.kad.poll(context).map(|event| match event {
            // From a port of its own, as all our dials.
            ToSwarm::Dial { opts } => match opts.get_peer_id() {
                Some(peer) => ToSwarm::Dial { opts: DialOpts::peer_id(peer).allocate_new_port().build() },
                None => ToSwarm::Dial { opts },
            },
            other => other,
        })
    }
}

#[cfg(test)]
mod tests;
