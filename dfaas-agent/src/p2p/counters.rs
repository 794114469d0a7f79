//! Counters of the overlay, for metrics. Their number is fixed: no remote side can add one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::message::BadMessage;

macro_rules! counts {
    ($($name:ident = $event:literal, $reason:literal;)*) => {
        /// One thing that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count {
            $($name,)*
        }

        impl Count {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Metric labels: what happened, and why or how.
            pub fn labels(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($event, $reason),)*
                }
            }
        }
    };
}

counts! {
    BroadcastSent = "broadcast_sent", "ok";
    BroadcastAlone = "broadcast_sent", "no_peer";
    BroadcastFailed = "broadcast_sent", "failed";
    BroadcastReceived = "broadcast_received", "ok";
    BroadcastUnknown = "broadcast_received", "unknown_type";
    BroadcastFlood = "broadcast_received", "flood";
    BroadcastAuthorFlood = "broadcast_received", "author_flood";
    BroadcastStranger = "broadcast_received", "stranger";
    BroadcastUnverified = "broadcast_received", "unverified";
    BroadcastOffTopic = "broadcast_received", "other_topic";
    BadTooLong = "bad_message", "too_long";
    BadMalformed = "bad_message", "malformed";
    BadHost = "bad_message", "host";
    BadPort = "bad_message", "port";
    BadNodeType = "bad_message", "node_type";
    BadNumber = "bad_message", "number";
    BadTooMany = "bad_message", "too_many";
    BadName = "bad_name", "dropped";
    StateSent = "state_sent", "acknowledged";
    StateSendFailed = "state_sent", "failed";
    StateSendRefused = "state_sent", "refused";
    StateReceived = "state_received", "ok";
    StateStale = "state_received", "stale";
    StateRefused = "state_received", "refused";
    StateFlood = "state_received", "flood";
    StateStranger = "state_received", "stranger";
    StateUnproven = "state_received", "unproven";
    StateAnotherRun = "state_received", "another_holder_of_the_key";
    BroadcastDropped = "event_dropped", "broadcast";
    StateDropped = "event_dropped", "state";
    OtherDropped = "event_dropped", "other";
    DialFailed = "dial", "failed";
    SearchDone = "dht_search", "done";
    SearchFailed = "dht_search", "failed";
    ProviderFound = "dht_search", "found";
    Advertised = "dht_advertise", "done";
    AdvertiseFailed = "dht_advertise", "failed";
    NodeSeen = "mdns", "seen";
    RecordRefused = "dht_record", "refused";
    ConnectionRefused = "connection", "refused";
    PingFailed = "connection", "ping_failed";
    GossipOff = "connection", "gossip_off";
    TooSlow = "connection", "too_slow";
    StreamEnded = "stream", "ended_by_peer";
    StreamStalled = "stream", "stalled";
    BroadcastUnsent = "broadcast_passed_on", "queue_full";
}

#[derive(Debug)]
pub struct Counters([AtomicU64; Count::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Counters {
    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, count: Count) {
        self.add_many(count, 1);
    }

    pub(crate) fn add_many(&self, count: Count, by: usize) {
        self.0[count as usize].fetch_add(by as u64, Ordering::Relaxed);
    }
}

impl From<&BadMessage> for Count {
    fn from(reason: &BadMessage) -> Self {
        match reason {
            BadMessage::TooLong(_) => Self::BadTooLong,
            BadMessage::Malformed(_) => Self::BadMalformed,
            BadMessage::Host(_) => Self::BadHost,
            BadMessage::Port(_) => Self::BadPort,
            BadMessage::NodeType(_) => Self::BadNodeType,
            BadMessage::Number(..) => Self::BadNumber,
            BadMessage::TooMany { .. } => Self::BadTooMany,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_count_has_its_own_place_and_labels() {
        let counters = Counters::default();
        for (at, count) in Count::ALL.iter().enumerate() {
            counters.add_many(*count, at + 1);
        }
        assert!(Count::ALL.iter().enumerate().all(|(at, count)| counters.get(*count) == at as u64 + 1));
        assert_eq!(Count::ALL.iter().map(|count| count.labels()).collect::<BTreeSet<_>>().len(), Count::ALL.len());
    }
}
