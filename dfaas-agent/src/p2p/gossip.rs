//! Gossip as the original sets it up: one topic, signed messages, message ids of raw bytes.

mod handler;
mod links;
mod score;
mod topic;
mod waiting;

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Context;
use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour, Config, ConfigBuilder, IdentTopic, Message as GossipMessage, MessageAuthenticity, MessageId,
        ValidationMode, WhitelistSubscriptionFilter,
    },
    identity::Keypair,
};

pub(super) use self::links::{Gossip, GossipEvent};
use self::topic::OneTopic;
use super::{counters::Counters, message::MAX_MESSAGE_BYTES};

pub const DEFAULT_TOPIC: &str = "/dfaasagent/1.0.0";
/// Neighbours that a node sends everything, if it can choose.
const MESH: usize = 6;
/// Messages waiting for one slow peer: all it may ask for at once, and those of many others meanwhile.
const SEND_QUEUE: usize = 1024;
/// How long they wait. The library's second for messages of others lost some on a busy machine.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// The library measures what it has read, of which the end may be part of the next frame.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// Bytes of control messages that we take in one frame. go-libp2p and js-libp2p name up to 5,000 messages of 48 bytes
/// each as had, and as many as wanted in the same frame.
const MAX_CONTROL_BYTES: usize = 512 * 1024;
/// Bytes of control messages that everybody takes. The library's own limit, which nodes of the first version have.
const ACCEPTED_CONTROL_BYTES: usize = 16 * 1024;
/// The longest id of a message with its head: two bytes for tag and length, 44 for an author named by a whole key, 8 for
/// the number.
const ID_BYTES: usize = 2 + 44 + 8;
/// Around the ids: the topic, tags and lengths.
const CONTROL_HEAD_BYTES: usize = 24;

/// Of the one topic, whatever others subscribe to or send.
type Library = Behaviour<OneTopic, WhitelistSubscriptionFilter>;

/// Why a connection carries no gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// Its streams broke again and again.
    Broken,
    /// The peer did not know the protocol when it was asked.
    Unknown,
}

/// A behaviour that listens on the topic and passes on only what was judged.
pub(super) fn behaviour(keypair: &Keypair, topic: &IdentTopic, counters: &Arc<Counters>) -> anyhow::Result<Gossip> {
    let signed = MessageAuthenticity::Signed(keypair.clone());
    let one = OneTopic::new(topic.hash(), Arc::clone(counters));
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let mut gossip = Library::new_with_subscription_filter_and_transform(signed, config(topic)?, filter, one)
        .map_err(|why| anyhow::anyhow!("cannot set up gossip: {why}"))?;
    gossip
        .with_peer_score(score::parameters(topic), score::thresholds())
        .map_err(|why| anyhow::anyhow!("cannot set up scores: {why}"))?;
    gossip.subscribe(topic).with_context(|| format!("cannot subscribe to topic {topic}"))?;
    Ok(Gossip::new(gossip, topic, Arc::clone(counters)))
}

fn config(topic: &IdentTopic) -> anyhow::Result<Config> {
    ConfigBuilder::default()
        .support_floodsub()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(MAX_MESSAGE_BYTES + READ_AHEAD_BYTES)
        .max_control_message_size(MAX_CONTROL_BYTES)
        .max_control_messages_sent(named_at_once(topic))
        .duplicate_cache_time(Duration::from_mins(2))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .heartbeat_interval(Duration::from_secs(1))
        .history_length(5)
        .history_gossip(3)
        .fanout_ttl(Duration::from_mins(1))
        .prune_backoff(Duration::from_mins(1))
        .unsubscribe_backoff(Duration::from_secs(10))
        .mesh_n(MESH)
        .mesh_n_low(5)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .retain_scores(4)
        .gossip_lazy(6)
        .gossip_factor(0.25)
        .flood_publish(false)
        .idontwant_message_size_threshold(1024)
        .connection_handler_queue_len(SEND_QUEUE)
        .publish_queue_duration(SEND_TIMEOUT)
        .forward_queue_duration(SEND_TIMEOUT)
        .build()
        .context("cannot set up gossip")
}

/// How many messages we say to have, or ask for, at once: so many that a node takes the frame. A node that gets one too
/// large stops listening to us.
fn named_at_once(topic: &IdentTopic) -> usize {
    let room = ACCEPTED_CONTROL_BYTES.saturating_sub(CONTROL_HEAD_BYTES + topic.hash().as_str().len());
    (room / ID_BYTES).max(1)
}

/// Author and sequence number, raw: these ids travel, so they must be those of the Go agents.
fn message_id(message: &GossipMessage) -> MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.extend(message.sequence_number.unwrap_or_default().to_be_bytes());
    MessageId::from(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_the_author_and_eight_bytes_of_sequence_number() {
        let author = Keypair::ed25519_from_bytes([7; 32]).unwrap().public().to_peer_id();
        let message = GossipMessage {
            source: Some(author),
            data: vec![],
            sequence_number: Some(0x0102_0304_0506_0708),
            topic: IdentTopic::new(DEFAULT_TOPIC).hash(),
        };
        let id = message_id(&message).0;
        assert_eq!(id.len(), 38 + 8);
        assert_eq!(id[..6], [0x00, 0x24, 0x08, 0x01, 0x12, 0x20]);
        assert_eq!(id[38..], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(message.topic.as_str(), DEFAULT_TOPIC);
    }

    /// What is named at once is asked for at once, and a promise that finds no room is a broken one.
    #[test]
    fn as_many_messages_are_named_as_any_node_takes_and_the_queue_holds() {
        let named = named_at_once(&IdentTopic::new(DEFAULT_TOPIC));
        // Authors named by a hash or by a key of Ed25519 have shorter ids.
        let frame = 2 + DEFAULT_TOPIC.len() + named * (2 + 39 + 8) + 4 + 4;
        assert!(
            frame < ACCEPTED_CONTROL_BYTES && frame > ACCEPTED_CONTROL_BYTES * 8 / 10,
            "{named} ids, {frame} bytes"
        );
        assert!(3 * named < SEND_QUEUE);
        let config = config(&IdentTopic::new(DEFAULT_TOPIC)).unwrap();
        assert_eq!(config.max_control_messages_sent(), named);
        // Of go-libp2p: 5,000 ids had and 5,000 wanted.
        assert!(config.max_control_message_size() > 2 * 5000 * 48 + 1000);
        assert_eq!(named_at_once(&IdentTopic::new("t".repeat(20_000))), 1);
    }

    #[test]
    fn the_parameters_are_those_of_the_original() {
        let config = config(&IdentTopic::new(DEFAULT_TOPIC)).unwrap();
        assert_eq!((config.mesh_n(), config.mesh_n_low(), config.mesh_n_high()), (6, 5, 12));
        assert_eq!((config.retain_scores(), config.mesh_outbound_min(), config.gossip_lazy()), (4, 2, 6));
        assert_eq!((config.history_length(), config.history_gossip()), (5, 3));
        assert_eq!(config.duplicate_cache_time(), Duration::from_mins(2));
        assert!(config.max_transmit_size() > MAX_MESSAGE_BYTES && MAX_MESSAGE_BYTES == 1 << 20);
        assert!(config.validate_messages() && !config.flood_publish() && !config.do_px());
    }
}
