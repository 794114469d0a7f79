//! All the overlays together.

use std::{ops::Sub, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use dfaas_agent::p2p::Count;
use tokio::{sync::watch, task::JoinSet};

use super::member::{Member, Pace, Shown, Sizes};

/// Until all know all, for what is not said while it is measured.
const JOINING: Duration = Duration::from_secs(5);

pub(super) struct Crowd {
    shown: Vec<Arc<Shown>>,
    pace: watch::Sender<Pace>,
    members: JoinSet<()>,
}

/// Messages of all, since they started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) broadcasts: u64,
    pub(super) states: u64,
    /// What did not arrive, or found no room.
    pub(super) lost: u64,
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            broadcasts: self.broadcasts - before.broadcasts,
            states: self.states - before.states,
            lost: self.lost - before.lost,
        }
    }
}

impl Crowd {
    /// The first is the bootstrap peer of all others.
    pub(super) async fn start(nodes: usize, functions: usize, pace: Pace) -> Result<Self> {
        let spoken = |pace: Option<Duration>| pace.or(Some(JOINING));
        let (pace, seen) = watch::channel(Pace { period: spoken(pace.period), heartbeat: spoken(pace.heartbeat) });
        let mut crowd = Self { shown: Vec::new(), pace, members: JoinSet::new() };
        let mut first = None;
        for i in 0..nodes {
            let mut member = Member::start(first.as_deref(), functions).with_context(|| format!("agent {}", i + 1))?;
            if first.is_none() {
                first = Some(member.address().await?);
            }
            crowd.shown.push(member.shown());
            crowd.members.spawn(member.run(seen.clone()));
        }
        Ok(crowd)
    }

    pub(super) fn set_pace(&self, pace: Pace) {
        self.pace.send_replace(pace);
    }

    /// By node: how many others it is connected to.
    pub(super) fn connected(&self) -> Vec<usize> {
        self.shown.iter().map(|shown| shown.connected()).collect()
    }

    /// By node: of how many others it has heard a broadcast that names it.
    pub(super) fn heard(&self) -> Vec<usize> {
        self.shown.iter().map(|shown| shown.heard()).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let sum = |counts: &[Count]| {
            self.shown.iter().map(|shown| counts.iter().map(|count| shown.counters.get(*count)).sum::<u64>()).sum()
        };
        Counts {
            broadcasts: sum(&[Count::BroadcastReceived]),
            states: sum(&[Count::StateReceived]),
            lost: sum(&[
                Count::BroadcastFailed,
                Count::BroadcastFlood,
                Count::StateSendFailed,
                Count::StateFlood,
                Count::BroadcastDropped,
                Count::StateDropped,
            ]),
        }
    }

    /// Of what one of them says.
    pub(super) fn sizes(&self) -> Sizes {
        self.shown.first().map(|shown| shown.sizes()).unwrap_or_default()
    }

    pub(super) async fn stop(mut self) {
        self.members.shutdown().await;
    }
}
