//! Whom to dial, and when again. No I/O; clock and chance are passed in.
//!
//! Bootstrap peers are tried for ever. Peers learned from others are given up after some failures and not
//! learned again for a while, so that made-up peers cost little.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use super::address::MAX_ADDRESSES;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Dials at the same time.
const MAX_DIALLING: usize = 16;
const MAX_TARGETS: usize = 1024;
/// A peer that was connected once is worth some minutes of tries.
const TRIES_IF_KNOWN: u32 = 12;
const TRIES_IF_HEARSAY: u32 = 3;
const REST: Duration = Duration::from_mins(10);
/// A connection that ends sooner is no better than none: a peer that refuses us only after the handshake, or whom we
/// cannot use, is dialled with growing pauses too.
const LASTING: Duration = Duration::from_secs(5);
/// A peer that was there a moment ago is likely to come back: its agent is started again. So long it is looked for so often,
/// because a new agent waits no more than five heartbeats for the peers of the former one.
const RETURN: Duration = Duration::from_mins(1);
const RETURN_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct DialPlan {
    own: PeerId,
    targets: BTreeMap<PeerId, Target>,
    /// `None`: everybody may be dialled.
    members: Option<BTreeSet<PeerId>>,
}

#[derive(Debug)]
struct Target {
    addresses: Vec<Multiaddr>,
    origin: Origin,
    phase: Phase,
    failures: u32,
    /// When a peer that was there is no longer expected back at any moment.
    returns_until: Option<Instant>,
}

#[derive(Debug, PartialEq)]
enum Origin {
    Bootstrap,
    /// Told us its addresses itself.
    Known,
    Hearsay(Source),
}

/// Who says that a peer is somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Peer(PeerId),
    /// Provider records, whoever kept them.
    Records,
    /// Answers from the local network.
    Multicast,
}

impl Source {
    /// Targets it may make us keep.
    const fn most(self) -> usize {
        match self {
            Self::Peer(_) => 64,
            Self::Records | Self::Multicast => 256,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Phase {
    ConnectedSince(Instant),
    Dialling,
    Waiting(Instant),
    /// Given up until then.
    Resting(Instant),
}

impl DialPlan {
    pub(super) fn new(own: PeerId, bootstrap: impl IntoIterator<Item = (PeerId, Multiaddr)>, now: Instant) -> Self {
        let mut plan = Self { own, targets: BTreeMap::new(), members: None };
        for (peer, address) in bootstrap.into_iter().filter(|(peer, _)| *peer != own) {
            plan.targets.entry(peer).or_insert_with(|| Target::new(Origin::Bootstrap, now)).addresses.push(address);
        }
        plan
    }

    /// Only these are dialled. Others are forgotten, but for bootstrap peers, who may become members again.
    pub(super) fn set_members(&mut self, members: BTreeSet<PeerId>) {
        self.targets.retain(|peer, target| target.origin == Origin::Bootstrap || members.contains(peer));
        self.members = Some(members);
    }

    /// Addresses of a peer we are connected to, from itself: they replace what others said.
    pub(super) fn learn_known(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if peer == self.own || (addresses.is_empty() && !self.targets.contains_key(&peer)) || !self.has_room(peer, now)
        {
            return;
        }
        let target = self.targets.entry(peer).or_insert_with(|| Target::new(Origin::Known, now));
        if !target.is_connected() {
            target.phase = Phase::ConnectedSince(now);
        }
        if target.origin == Origin::Bootstrap {
            // The configured addresses stay first.
            target.add(addresses);
        } else if !addresses.is_empty() {
            target.origin = Origin::Known;
            target.addresses = addresses;
        }
    }

    /// Addresses of `peer` according to `source`; false if they are not taken.
    pub(super) fn learn_hearsay(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        source: Source,
        now: Instant,
    ) -> bool {
        if peer == self.own || addresses.is_empty() || !self.has_room(peer, now) {
            return false;
        }
        if let Some(target) = self.targets.get_mut(&peer) {
            if target.is_connected() {
                return false;
            }
            target.add(addresses);
            return true;
        }
        let from_source = self.targets.values().filter(|target| target.origin == Origin::Hearsay(source)).count();
        if from_source >= source.most() {
            return false;
        }
        let mut target = Target::new(Origin::Hearsay(source), now);
        target.add(addresses);
        self.targets.insert(peer, target);
        true
    }

    pub(super) fn bootstrap(&self) -> impl Iterator<Item = &PeerId> {
        self.targets.iter().filter(|(_, target)| target.origin == Origin::Bootstrap).map(|(peer, _)| peer)
    }

    pub(super) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.targets.get(peer).is_some_and(|target| target.origin == Origin::Bootstrap)
    }

    pub(super) fn connected(&mut self, peer: PeerId, now: Instant) {
        if let Some(target) = self.targets.get_mut(&peer)
            && !target.is_connected()
        {
            target.phase = Phase::ConnectedSince(now);
        }
    }

    /// The last connection to a peer is gone.
    pub(super) fn lost(&mut self, peer: PeerId, now: Instant, chance: f64) {
        let Some(target) = self.targets.get_mut(&peer) else { return };
        if matches!(target.phase, Phase::ConnectedSince(since) if now >= since + LASTING) {
            target.failures = 0;
            target.returns_until = Some(now + RETURN);
            target.phase = Phase::Waiting(now + pause(0, chance));
        } else {
            target.fail(now, chance);
        }
    }

    /// A dial failed; how often in a row it did.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant, chance: f64) -> Option<u32> {
        let target = self.targets.get_mut(&peer).filter(|target| target.phase == Phase::Dialling)?;
        target.fail(now, chance);
        Some(target.failures)
    }

    /// The dials whose time has come; each must end in `connected` or `failed`.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.targets.retain(|_, target| !matches!(target.phase, Phase::Resting(until) if until <= now));
        let dialling = self.targets.values().filter(|target| target.phase == Phase::Dialling).count();
        let members = &self.members;
        let may_be = |peer: &PeerId| members.as_ref().is_none_or(|members| members.contains(peer));
        let is_due = |target: &Target| matches!(target.phase, Phase::Waiting(at) if at <= now);
        let waiting = self.targets.iter_mut().filter(|(peer, target)| is_due(target) && may_be(peer));
        waiting
            .take(MAX_DIALLING.saturating_sub(dialling))
            .map(|(peer, target)| {
                target.phase = Phase::Dialling;
                (*peer, target.addresses.clone())
            })
            .collect()
    }

    /// Room for a peer that may be dialled; where none is left, one that is given up makes way.
    fn has_room(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.members.as_ref().is_some_and(|members| !members.contains(&peer)) {
            return false;
        }
        if self.targets.len() < MAX_TARGETS || self.targets.contains_key(&peer) {
            return true;
        }
        self.targets.retain(|_, target| !matches!(target.phase, Phase::Resting(until) if until <= now));
        self.targets.len() < MAX_TARGETS
    }
}

impl Target {
    fn new(origin: Origin, now: Instant) -> Self {
        Self { addresses: vec![], origin, phase: Phase::Waiting(now), failures: 0, returns_until: None }
    }

    const fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::ConnectedSince(_))
    }

    fn fail(&mut self, now: Instant, chance: f64) {
        if self.returns_until.is_some_and(|until| now < until) {
            self.phase = Phase::Waiting(now + spread(RETURN_PAUSE, chance));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let tries = match self.origin {
            Origin::Bootstrap => u32::MAX,
            Origin::Known => TRIES_IF_KNOWN,
            Origin::Hearsay(_) => TRIES_IF_HEARSAY,
        };
        self.phase = if self.failures < tries {
            Phase::Waiting(now + pause(self.failures - 1, chance))
        } else {
            Phase::Resting(now + REST)
        };
    }

    fn add(&mut self, addresses: Vec<Multiaddr>) {
        let had: BTreeSet<_> = self.addresses.iter().cloned().collect();
        let room = MAX_ADDRESSES.saturating_sub(had.len());
        self.addresses.extend(addresses.into_iter().filter(|address| !had.contains(address)).take(room));
    }
}

/// 1 s, doubling to 30 s, a quarter more or less by `chance` (0 to 1).
fn pause(failures: u32, chance: f64) -> Duration {
    spread(FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE), chance)
}

fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
