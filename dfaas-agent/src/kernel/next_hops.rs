//! Which way the peers are, the node's own link-layer addresses, and the aliases on `lo`, kept by a task of its own: the kernel says when something changes, and
//! nobody waits for its answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use futures::StreamExt as _;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::network::{Changes, Links, Neighbours, Network, NextHop};
use crate::once::Once;

/// How often everything is looked at again though nothing is said to have changed.
const POLL_INTERVAL: Duration = Duration::from_secs(3);
/// Changes come in swarms: a round follows the first one after this time.
const SWARM: Duration = Duration::from_millis(100);
/// Before another netlink connection is made in the place of one that has ended.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// What is to be known and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Peers' ends of the tunnel.
    pub(crate) tunnels: BTreeSet<Ipv4Addr>,
    /// To be on `lo`.
    pub(crate) aliases: BTreeSet<Ipv4Addr>,
}

/// What is known and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ways {
    /// By tunnel end. One that cannot be had any more stays in use.
    pub(crate) next_hops: BTreeMap<Ipv4Addr, NextHop>,
    /// What keeps a next hop from being known, by tunnel end.
    pub(crate) troubles: BTreeMap<Ipv4Addr, String>,
    /// Aliases that have been put on `lo`.
    pub(crate) aliases: BTreeSet<Ipv4Addr>,
    /// What keeps the others off it.
    pub(crate) alias_trouble: Option<String>,
    /// Where frames for this node go; `None` until it could be asked.
    pub(crate) links: Option<Links>,
}

/// What does not change while the task lives.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) interface: String,
    /// The address that clients call.
    pub(crate) service: Ipv4Addr,
    /// Range of all aliases: network and prefix length.
    pub(crate) aliases: (Ipv4Addr, u8),
}

/// The agent's end of the task, which lives as long as this.
pub(crate) struct NextHops {
    wanted: watch::Sender<Wanted>,
    ways: watch::Receiver<Arc<Ways>>,
}

impl NextHops {
    pub(crate) fn start(place: Place) -> Result<Self> {
        let connection = Network::connect_and_listen()?;
        let (wanted, receiver) = watch::channel(Wanted::default());
        let (shown, ways) = watch::channel(Arc::default());
        let task = Task { place, wanted: receiver, shown, alias_trouble: Once::default() };
        tokio::spawn(task.run(connection));
        Ok(Self { wanted, ways })
    }

    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|old| {
            let changed = *old != wanted;
            *old = wanted;
            changed
        });
    }

    pub(crate) fn ways(&self) -> Arc<Ways> {
        self.ways.borrow().clone()
    }

    /// Ends when another way is known than at the last call.
    pub(crate) async fn changed(&mut self) {
        if self.ways.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Task {
    place: Place,
    wanted: watch::Receiver<Wanted>,
    shown: watch::Sender<Arc<Ways>>,
    alias_trouble: Once<String>,
}

impl Task {
    /// As long as the agent's end lives.
    async fn run(mut self, connection: (Network, Changes)) {
        let mut connection = Some(connection);
        while !self.shown.is_closed() {
            match connection.take() {
                Some((network, changes)) => self.follow(&network, changes).await,
                None => connection = Network::connect_and_listen().ok(),
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Until the netlink connection ends, or nobody wants anything any more.
    async fn follow(&mut self, network: &Network, mut changes: Changes) {
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() { return },
                change = changes.next() => {
                    if change.is_none() {
                        return;
                    }
                    sleep(SWARM).await;
                    while changes.try_recv().is_ok() {}
                }
                _ = poll.tick() => {}
            }
            self.round(network).await;
        }
    }

    async fn round(&mut self, network: &Network) {
        let wanted = self.wanted.borrow_and_update().clone();
        let mut ways = (**self.shown.borrow()).clone();
        match look(network, &wanted.tunnels).await {
            Ok(found) => ways.update(found),
            Err(e) => ways.troubles = wanted.tunnels.iter().map(|tunnel| (*tunnel, format!("{e:#}"))).collect(),
        }
        match network.links(&self.place.interface, self.place.service).await {
            Ok(links) => ways.links = Some(links),
            Err(e) => tracing::debug!("{e:#}"),
        }
        ways.aliases.retain(|alias| wanted.aliases.contains(alias));
        ways.alias_trouble = match self.put_aliases(network, &wanted.aliases, &mut ways.aliases).await {
            Ok(()) => None,
            Err(e) => Some(format!("{e:#}")),
        };
        match &ways.alias_trouble {
            Some(trouble) if self.alias_trouble.is_new(trouble.clone()) => tracing::warn!("{trouble}"),
            Some(_) => {}
            None => _ = self.alias_trouble.is_over(),
        }
        self.shown.send_if_modified(|shown| {
            let changed = **shown != ways;
            if changed {
                *shown = Arc::new(ways);
            }
            changed
        });
    }

    /// Also those that somebody has taken off.
    async fn put_aliases(
        &self,
        network: &Network,
        wanted: &BTreeSet<Ipv4Addr>,
        put: &mut BTreeSet<Ipv4Addr>,
    ) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let there = network.aliases(self.place.aliases).await?;
        for alias in wanted {
            if !there.contains(alias) {
                network.add_alias(*alias).await?;
            }
            put.insert(*alias);
        }
        Ok(())
    }
}

async fn look(network: &Network, tunnels: &BTreeSet<Ipv4Addr>) -> Result<BTreeMap<Ipv4Addr, Result<NextHop, String>>> {
    if tunnels.is_empty() {
        return Ok(BTreeMap::new());
    }
    let neighbours = network.neighbours().await?;
    let mut found = BTreeMap::new();
    for tunnel in tunnels {
        let route = network.route(*tunnel).await.map_err(|e| format!("{e:#}"));
        found.insert(*tunnel, route.and_then(|route| next_hop(&neighbours, route)));
    }
    Ok(found)
}

fn next_hop(neighbours: &Neighbours, (ifindex, gateway): (u32, Ipv4Addr)) -> Result<NextHop, String> {
    // A packet towards it makes it known.
    let mac = neighbours.get(&(ifindex, gateway)).ok_or_else(|| format!("no link-layer address of {gateway} yet"))?;
    Ok(NextHop { ifindex, mac: *mac })
}

impl Ways {
    /// Takes what was found of all tunnel ends that are wanted.
    fn update(&mut self, found: BTreeMap<Ipv4Addr, Result<NextHop, String>>) {
        self.next_hops.retain(|tunnel, _| found.contains_key(tunnel));
        self.troubles.clear();
        for (tunnel, way) in found {
            match way {
                Ok(next_hop) => _ = self.next_hops.insert(tunnel, next_hop),
                Err(trouble) => _ = self.troubles.insert(tunnel, trouble),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn hop(last: u8) -> NextHop {
        NextHop { ifindex: 2, mac: [2, 0, 0, 0, 0, last] }
    }

    #[test]
    fn a_peer_without_a_way_takes_nothing_from_the_others() {
        let mut ways = Ways::default();
        ways.update([(A, Err("no route".to_owned())), (B, Ok(hop(2)))].into());
        assert_eq!(ways.next_hops, [(B, hop(2))].into());
        assert_eq!(ways.troubles, [(A, "no route".to_owned())].into());
    }

    #[test]
    fn a_next_hop_that_cannot_be_had_any_more_stays_in_use_and_the_trouble_is_told() {
        let mut ways = Ways::default();
        ways.update([(A, Ok(hop(1)))].into());
        ways.update([(A, Err("gone".to_owned()))].into());
        assert_eq!((ways.next_hops.get(&A), ways.troubles.len()), (Some(&hop(1)), 1));
        ways.update([(A, Ok(hop(9)))].into());
        assert_eq!((ways.next_hops.get(&A), ways.troubles.len()), (Some(&hop(9)), 0));
        ways.update(BTreeMap::new());
        assert_eq!(ways, Ways::default(), "nobody wants it any more");
    }

    #[test]
    fn a_next_hop_is_the_gateways_neighbour_entry_on_the_same_interface() {
        let neighbours: Neighbours = [((2, A), [1; 6]), ((3, B), [2; 6])].into();
        assert_eq!(next_hop(&neighbours, (2, A)), Ok(NextHop { ifindex: 2, mac: [1; 6] }));
        assert!(next_hop(&neighbours, (2, B)).unwrap_err().contains("10.0.0.2"));
    }
}
