//! What is known of the peers this node is connected to.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::{
    name::NodeId,
    p2p::{bucket::Bucket, direct, handle::ConnectedPeer, shown},
};

const STATES_PER_SECOND: f64 = 10.0;
const STATES_BURST: f64 = 50.0;
/// A peer passes on what all others broadcast.
const BROADCASTS_PER_SECOND: f64 = 1000.0;
const BROADCASTS_BURST: f64 = 2000.0;
const MAX_PROTOCOLS: usize = 64;
/// How long somebody who is no node may stay: a search among others takes no longer.
const STRANGER_STAY: Duration = Duration::from_mins(1);

/// States of another run that cannot all have been on their way when it ended.
const PROOFS_OF_ANOTHER_RUN: u32 = 3;
const OTHER_RUN_MEMORY: Duration = Duration::from_secs(30);

/// By peer; as many as the connection limits allow.
pub(super) type Peers = BTreeMap<PeerId, Peer>;

pub(super) struct Peer {
    pub(super) node: NodeId,
    since: Instant,
    /// When it last said something new about itself.
    pub(super) identified: Option<Instant>,
    /// When it was last told of the others.
    pub(super) named: Option<Instant>,
    pub(super) links: BTreeMap<ConnectionId, Link>,
    pub(super) about: Option<About>,
    /// True if the agent has heard of `about`.
    pub(super) told: bool,
    /// Where others may dial it.
    pub(super) addresses: Vec<Multiaddr>,
    /// Its newest state.
    pub(super) last_state: Option<Heard>,
    /// States of another run that came since the last one in force, and when the last of them did.
    other_run: Option<(u32, Instant)>,
    pub(super) states: Bucket,
    pub(super) broadcasts: Bucket,
}

/// One connection.
pub(super) struct Link {
    pub(super) made: Instant,
    pub(super) remote: IpAddr,
    /// The address we dialled, if we did.
    pub(super) dialled: Option<Multiaddr>,
    /// It carries no gossip, because the peer did not know it.
    pub(super) is_mute: bool,
}

/// Which state it was, and by which connection it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) started_ms: u64,
    pub(super) sequence: u64,
    pub(super) link_made: Instant,
}

impl Heard {
    /// Of two runs of a peer the later one is that with the later connection, whatever its clock said when it started: the
    /// connections of a peer that died without a word linger here.
    pub(super) fn is_newer_than(&self, last: &Self) -> bool {
        if self.started_ms == last.started_ms {
            return self.sequence > last.sequence;
        }
        (self.link_made, self.started_ms) > (last.link_made, last.started_ms)
    }
}

/// What a peer says of itself, cut to a sane size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) agent: String,
    pub(super) protocols: Vec<String>,
}

impl About {
    pub(super) fn new<T: AsRef<str>>(agent: &str, protocols: &[T]) -> Self {
        let protocols = protocols.iter().take(MAX_PROTOCOLS).map(|protocol| shown(protocol.as_ref())).collect();
        Self { agent: shown(agent), protocols }
    }

    pub(super) fn speaks_direct(&self) -> bool {
        self.protocols.iter().any(|protocol| protocol == direct::PROTOCOL)
    }

    /// True if the peer may be a node of the federation, ours or an original one.
    pub(super) fn is_node(&self) -> bool {
        self.speaks_direct() || self.speaks_gossip()
    }

    pub(super) fn speaks_gossip(&self) -> bool {
        self.protocols.iter().any(|protocol| protocol.starts_with("/meshsub/"))
    }
}

impl Peer {
    pub(super) fn new(node: NodeId, now: Instant) -> Self {
        Self {
            node,
            since: now,
            identified: None,
            named: None,
            links: BTreeMap::new(),
            about: None,
            told: false,
            addresses: vec![],
            last_state: None,
            other_run: None,
            states: Bucket::new(STATES_PER_SECOND, STATES_BURST, now),
            broadcasts: Bucket::new(BROADCASTS_PER_SECOND, BROADCASTS_BURST, now),
        }
    }

    /// A state came that is not of the run in force.
    pub(super) fn hears_other_run(&mut self, now: Instant) {
        let states = self.other_run.map_or(0, |(states, _)| states);
        self.other_run = Some((states.saturating_add(1), now));
    }

    /// Both runs go on.
    pub(super) fn is_doubled(&self) -> bool {
        self.other_run.is_some_and(|(states, _)| states >= PROOFS_OF_ANOTHER_RUN)
    }

    /// True once the other run has been silent for long.
    pub(super) fn forgets_other_run(&mut self, now: Instant) -> bool {
        self.other_run.take_if(|(_, last)| now >= *last + OTHER_RUN_MEMORY).is_some()
    }

    /// True if it has been here for long and is no node, or has not even said what it is.
    pub(super) fn is_stranger(&self, now: Instant) -> bool {
        self.about.as_ref().is_none_or(|about| !about.is_node()) && self.has_stayed(now)
    }

    /// As long as a stranger may.
    pub(super) fn has_stayed(&self, now: Instant) -> bool {
        now >= self.since + STRANGER_STAY
    }

    pub(super) fn view(&self) -> ConnectedPeer {
        let mut remotes: Vec<IpAddr> = self.links.values().map(|link| link.remote).collect();
        remotes.sort_unstable();
        remotes.dedup();
        ConnectedPeer {
            remotes,
            agent: self.about.as_ref().map(|about| about.agent.clone()),
            direct: self.about.as_ref().is_some_and(About::speaks_direct),
            is_doubled: self.is_doubled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn who_is_no_node_or_says_nothing_is_a_stranger_and_not_at_once() {
        let now = Instant::now();
        let later = now + STRANGER_STAY;
        let peer = |protocols: Option<&[&str]>| {
            let node = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf".parse().unwrap();
            Peer { about: protocols.map(|protocols| About::new("agent", protocols)), ..Peer::new(node, now) }
        };
        let public = peer(Some(&["/ipfs/kad/1.0.0", "/ipfs/id/1.0.0"]));
        assert!(public.is_stranger(later) && !public.is_stranger(now));
        assert!(!peer(Some(&["/meshsub/1.1.0"])).is_stranger(later), "an original agent");
        assert!(!peer(Some(&[direct::PROTOCOL])).is_stranger(later));
        assert!(peer(None).is_stranger(later) && !peer(None).is_stranger(now), "it has not said yet");
    }

    #[test]
    fn a_restarted_peer_is_heard_whatever_its_clock_says() {
        let first_link = Instant::now();
        let heard = |started_ms, sequence, link_s| Heard {
            started_ms,
            sequence,
            link_made: first_link + Duration::from_secs(link_s),
        };
        let last = heard(2 * HOUR_MS, 50, 0);
        for (state, is_news) in [
            (heard(2 * HOUR_MS, 51, 0), true),
            (heard(2 * HOUR_MS, 50, 0), false),
            // Another connection of the same run.
            (heard(2 * HOUR_MS, 49, 9), false),
            (heard(3 * HOUR_MS, 1, 9), true),
            // The clock went back before the restart.
            (heard(HOUR_MS, 1, 9), true),
            (heard(HOUR_MS, 99, 0), false),
        ] {
            assert_eq!(state.is_newer_than(&last), is_news, "{state:?}");
        }
        // What the dead run had sent may still come after the first word of the new one.
        assert!(!heard(2 * HOUR_MS, 51, 0).is_newer_than(&heard(HOUR_MS, 1, 9)));
    }
}
