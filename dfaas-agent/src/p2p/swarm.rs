//! The libp2p node: transports, protocols, limits. TCP with TLS or Noise, and yamux, as the original listens.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder,
    allow_block_list::{self, AllowedPeers},
    connection_limits::{self, ConnectionLimits},
    gossipsub::IdentTopic,
    identify,
    identity::Keypair,
    noise, ping, request_response,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, tls, yamux,
};

use super::{
    counters::Counters,
    dht::Dht,
    direct::{self, FrameCodec},
    gossip::{self, Gossip},
    hosts::{Hosts, MAX_CONNECTING},
    streams,
};

pub(super) const MAX_CONNECTIONS: u32 = 512;
/// Both sides may dial at once, and old connections may not be known dead yet.
const MAX_CONNECTIONS_PER_PEER: u32 = 4;
const STREAMS_PER_CONNECTION: usize = 64;
const DIRECT_STREAMS_PER_CONNECTION: usize = 4;
const DIRECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent peer is given up after two missed answers.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The protocols, asked in this order about each connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) hosts: Hosts,
    /// On if there is a list of members.
    pub(super) members: Toggle<allow_block_list::Behaviour<AllowedPeers>>,
    pub(super) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) dht: Dht,
    pub(super) direct: request_response::Behaviour<FrameCodec>,
}

/// Who may connect.
pub(super) struct Rules {
    pub(super) max_connections: u32,
    /// True if only members may; there are none yet.
    pub(super) members_only: bool,
}

/// `always_welcome` peers get in when the limits are reached.
pub(super) fn build(
    keypair: &Keypair,
    topic: &IdentTopic,
    agent: &str,
    dht: Dht,
    rules: &Rules,
    counters: &Arc<Counters>,
    always_welcome: impl Iterator<Item = PeerId>,
) -> anyhow::Result<Swarm<Behaviour>> {
    let mut limits = connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_CONNECTING))
            .with_max_pending_outgoing(Some(MAX_CONNECTING))
            .with_max_established(Some(rules.max_connections))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER)),
    );
    let welcome: Vec<PeerId> = always_welcome.collect();
    for peer in &welcome {
        limits.bypass_peer_id(peer);
    }
    let behaviour = Behaviour {
        limits,
        hosts: Hosts::new(rules.max_connections as usize, welcome),
        members: rules.members_only.then(allow_block_list::Behaviour::default).into(),
        identify: identify::Behaviour::new(
            identify::Config::new("dfaas/1.0.0".into(), keypair.public())
                .with_agent_version(agent.into())
                .with_push_listen_addr_updates(true)
                .with_cache_size(0),
        ),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
        gossip: gossip::behaviour(keypair, topic, counters)?,
        dht,
        direct: request_response::Behaviour::new(
            [(StreamProtocol::new(direct::PROTOCOL), request_response::ProtocolSupport::Full)],
            request_response::Config::default()
                .with_request_timeout(DIRECT_TIMEOUT)
                .with_max_concurrent_streams(DIRECT_STREAMS_PER_CONNECTION),
        ),
    };
    let swarm = SwarmBuilder::with_existing_identity(keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), (tls::Config::new, noise::Config::new), || muxer(counters))
        .context("cannot set up the transport")?
        .with_behaviour(|_| behaviour)?
        // Nodes stay connected: a hand-off must not wait for a handshake.
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
        .build();
    Ok(swarm)
}

fn muxer(counters: &Arc<Counters>) -> streams::Upgrade {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS_PER_CONNECTION);
    streams::Upgrade::new(yamux, Arc::clone(counters))
}
