use std::net::Ipv4Addr;

use dfaas_common::{
    http::Name,
    peer::{DEAD, MAX_PEERS, UP},
};

use super::*;
use crate::{
    decision::{FunctionTable, Shape, Weights},
    kernel::{maps::twin::Twin, network::NextHop},
    mode::Mode,
    p2p::direct::{NodeState, TunnelKey},
    peers::Terms,
    strategy::{
        Strategy,
        test_names::{function, node},
    },
};

const ALIASES: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 16);
const GRANT: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn tunnel(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn state(n: u8) -> NodeState {
    NodeState {
        version: 1,
        sequence: 1,
        started_ms: 0,
        mode: Mode::Handoff,
        service: Some(format!("10.0.0.{n}:80").parse().unwrap()),
        tunnel: Some(tunnel(n).into()),
        proxy: None,
        tunnel_key: Some(TunnelKey { epoch: 3, key: [7; 16], token: 9 }),
        functions: BTreeMap::new(),
        margin: None,
        draining: false,
        leaving: false,
    }
}

/// An agent around maps in memory.
struct World {
    obedience: Obedience<Twin>,
    peers: Peers,
    ways: Ways,
    decision: Decision,
    start: Instant,
    after: Duration,
}

impl World {
    fn of(twin: Twin) -> Self {
        let start = Instant::now();
        let mirror = Mirror::new(twin, ALIASES, Duration::ZERO, 0).unwrap();
        let terms = Terms { timeout: 3 * SECOND, period: SECOND, strategy: Strategy::Recalc };
        Self {
            obedience: Obedience::new(mirror, GRANT, 5 * SECOND, start),
            peers: Peers::new(node(0), terms),
            ways: Ways::default(),
            decision: Decision::default(),
            start,
            after: Duration::ZERO,
        }
    }

    /// Peers whose ways are known.
    fn with_peers<const N: usize>(peers: [u8; N]) -> Self {
        let mut world = Self::of(Twin::default());
        for n in peers {
            world.hears(n);
        }
        world.decide(1);
        world
    }

    fn now(&self) -> Instant {
        self.start + self.after
    }

    fn hears(&mut self, n: u8) {
        self.peers.connected(node(n), tunnel(n).into());
        self.peers.state(node(n), state(n), self.start + self.after);
        self.ways.next_hops.insert(tunnel(n), NextHop { ifindex: 2, mac: [n; 6] });
        let handoffs = self.peers.handoffs();
        self.obedience.admit(&handoffs);
    }

    fn decide(&mut self, version: u32) {
        let all: BTreeMap<NodeId, u32> = self.peers.iter().map(|(id, _)| (id.clone(), 1)).collect();
        let table = FunctionTable {
            deployed: true,
            local_limit: Some(10.0),
            shape: Shape::LocalFirst,
            limits_out: all.keys().map(|id| (id.clone(), 20.0)).collect(),
            weights: Weights { local: 0, reject: 0, peers: all },
            limits_in: BTreeMap::new(),
            timeout: None,
        };
        self.decision = Decision { version, functions: [(function("f"), table)].into(), peers: BTreeMap::new() };
    }

    fn obeys(&mut self) -> KernelView {
        let handoffs = self.peers.handoffs();
        let kept = BTreeMap::new();
        let orders = Orders { decision: &self.decision, decided: self.start, kept: &kept, peers: &self.peers };
        let time = Time { now: self.now(), ns: self.after.as_nanos() as u64 };
        self.obedience.obey(orders, &handoffs, &self.ways, time);
        self.obedience.view().clone()
    }

    fn maps(&mut self) -> &mut Twin {
        self.obedience.mirror.maps_mut()
    }
}

#[test]
fn peers_are_written_before_the_tables_that_name_them() {
    let mut world = World::with_peers([1, 2]);
    let view = world.obeys();
    assert_eq!((view.obeyed, view.error, view.peer_troubles.len()), (1, None, 0));
    let route = *world.maps().routes.first_key_value().unwrap().1;
    let share = |number| route.slots.iter().filter(|slot| **slot == number).count();
    assert_eq!((share(0), share(1)), (128, 128));
    assert_eq!(world.maps().peers.values().map(|peer| peer.state).collect::<Vec<_>>(), [UP, UP]);
}

#[test]
fn a_peer_whose_next_hop_cannot_be_looked_up_takes_nothing_from_the_others() {
    let mut world = World::with_peers([1, 2, 3]);
    world.ways.next_hops.remove(&tunnel(1));
    world.ways.troubles.insert(tunnel(1), "no route to 10.0.0.1".into());
    let view = world.obeys();
    assert_eq!((view.obeyed, view.error), (1, None));
    assert_eq!(view.peer_troubles, [(node(1), "no route to 10.0.0.1".to_owned())].into());
    assert_eq!(world.maps().peers.len(), 2);
    world.hears(1);
    world.ways.troubles.clear();
    assert_eq!(world.obeys().peer_troubles, BTreeMap::new());
    assert_eq!(world.maps().peers.len(), 3);
}

#[test]
fn a_peer_whose_entry_cannot_be_written_takes_nothing_from_the_others() {
    let mut world = World::with_peers([1, 2]);
    world.maps().bad_peer = Some(0);
    let view = world.obeys();
    assert_eq!((view.obeyed, view.peer_troubles.keys().collect::<Vec<_>>()), (1, vec![&node(1)]));
    assert_eq!(world.maps().peers.keys().collect::<Vec<_>>(), [&1]);
}

#[test]
fn a_decision_is_obeyed_once_all_its_tables_are_written() {
    let mut world = World::with_peers([1]);
    world.maps().bad_route = Name::new("f");
    let view = world.obeys();
    assert_eq!(view.obeyed, 0);
    assert!(view.error.unwrap().contains("function f"));
    world.maps().bad_route = None;
    let view = world.obeys();
    assert_eq!((view.obeyed, view.error), (1, None));
}

#[test]
fn an_idle_node_writes_only_what_would_lapse_and_only_once_a_second() {
    let mut world = World::with_peers([1]);
    world.obeys();
    let writes = world.maps().writes;
    for quarter in 1..=40 {
        world.after = Duration::from_millis(quarter * 250);
        world.hears(1);
        let view = world.obeys();
        assert_eq!((view.repaired, view.error), (0, None));
    }
    assert_eq!(world.maps().writes - writes, 10);
    assert_eq!(world.maps().peers[&0].expires_ns, (10 * SECOND + GRANT).as_nanos() as u64);
}

#[test]
fn a_silent_peer_is_declared_dead_and_comes_back() {
    let mut world = World::with_peers([1]);
    world.obeys();
    world.after = 4 * SECOND;
    world.obeys();
    assert_eq!(world.maps().peers[&0].state, DEAD);
    world.hears(1);
    world.obeys();
    assert_eq!(world.maps().peers[&0].state, UP);
}

#[test]
fn foreign_changes_are_put_right_within_two_seconds_and_counted() {
    let mut world = World::with_peers([1]);
    world.obeys();
    world.maps().addresses.pop_first();
    world.maps().routes.clear();
    world.after = 2 * SECOND;
    let view = world.obeys();
    assert_eq!((view.repaired, view.error), (2, None));
    assert_eq!((world.maps().addresses.len(), world.maps().routes.len()), (2, 1));
}

#[test]
fn a_struck_off_member_is_out_at_once_and_its_number_is_free_much_later() {
    let mut world = World::with_peers([1, 2]);
    world.obeys();
    let now = world.now();
    world.obedience.revoke(&node(1), now).unwrap();
    world.peers.remove(&node(1));
    world.obeys();
    assert_eq!(world.maps().peers[&0].state, DEAD);
    world.hears(3);
    assert_eq!(world.obedience.mirror.peer_number(&node(3)), Some(2), "0 is named by connections that live on");
    world.after = MEMORY + 2 * HOUSEKEEPING;
    world.obeys();
    assert!(!world.maps().peers.contains_key(&0));
    world.hears(4);
    assert_eq!(world.obedience.mirror.peer_number(&node(4)), Some(0));
}

#[test]
fn a_member_that_comes_back_has_its_number_and_is_written_again() {
    let mut world = World::with_peers([1]);
    world.obeys();
    let now = world.now();
    world.obedience.revoke(&node(1), now).unwrap();
    assert_eq!(world.obeys().peer_troubles, BTreeMap::new(), "nobody expects it to be usable");
    assert_eq!(world.maps().peers[&0].state, DEAD);
    world.obedience.readmit(&node(1));
    world.hears(1);
    world.obeys();
    assert_eq!((world.maps().peers[&0].state, world.maps().peers.len()), (UP, 1));
}

#[test]
fn a_peer_beyond_the_numbers_says_so_and_gets_one_that_is_freed() {
    let mut world = World::of(Twin::default());
    let name = |n: usize| format!("12D3KooW{n:044}").replace('0', "z").parse::<NodeId>().unwrap();
    for n in 0..MAX_PEERS {
        world.obedience.mirror.admit_peer(&name(1 + n * 11111), tunnel(100 + n as u8)).unwrap();
    }
    world.hears(1);
    world.decide(1);
    assert!(world.obeys().peer_troubles[&node(1)].contains("no number is left"));
    world.obedience.forget(&[name(1)]).unwrap();
    world.hears(1);
    assert_eq!(world.obeys().peer_troubles, BTreeMap::new());
}

#[test]
fn a_former_agents_tables_stay_until_its_peers_are_back_or_the_time_is_over() {
    let former = || {
        let mut world = World::with_peers([1, 2]);
        world.obeys();
        std::mem::take(world.maps())
    };
    let mut world = World::of(former());
    assert!(world.obedience.is_holding(world.start));
    world.hears(1);
    assert!(world.obedience.is_holding(world.start));
    world.hears(2);
    assert!(!world.obedience.is_holding(world.start), "all are back");
    assert_eq!(world.maps().peers.len(), 2);

    let mut world = World::of(former());
    world.hears(2);
    let late = world.start + 6 * SECOND;
    assert!(!world.obedience.is_holding(late));
    let states = world.maps().peers.values().map(|peer| peer.state).collect::<Vec<_>>();
    assert_eq!(states, [DEAD, UP], "the other is forgotten");
    assert_eq!(world.obedience.mirror.peer_number(&node(1)), None);
}

#[test]
fn what_is_wanted_of_the_host_is_that_of_admitted_peers() {
    let world = World::with_peers([1, 2]);
    let handoffs = world.peers.handoffs();
    let wanted = world.obedience.wanted(&handoffs);
    assert_eq!(wanted.tunnels, [tunnel(1), tunnel(2)].into());
    assert_eq!(wanted.aliases, ["198.18.0.1", "198.18.0.2"].map(|a| a.parse().unwrap()).into());
}

#[test]
fn an_alias_that_cannot_be_put_is_an_error_of_the_plane() {
    let mut world = World::with_peers([1]);
    world.ways.alias_trouble = Some("cannot put 198.18.0.1 on lo".into());
    let view = world.obeys();
    assert_eq!((view.obeyed, view.error.as_deref()), (1, Some("cannot put 198.18.0.1 on lo")));
}

#[test]
fn live_connections_are_counted_when_the_house_is_kept() {
    let mut world = World::with_peers([1]);
    world.maps().flows = (3, 5);
    assert_eq!(world.obeys().flows, 0);
    world.after = HOUSEKEEPING;
    assert_eq!(world.obeys().flows, 5);
}

/// Forgets n1 when it has not been heard for long, and keeps house for some time after.
fn without_1(world: &mut World) {
    world.obeys();
    world.after = MEMORY;
    world.obedience.forget(&[node(1)]).unwrap();
    world.peers.remove(&node(1));
    world.obeys();
}

#[test]
fn a_number_goes_to_nobody_else_while_a_connection_or_a_socket_names_it() {
    let mut world = World::with_peers([1, 2]);
    without_1(&mut world);
    assert_eq!(world.maps().peers[&0].state, DEAD, "what names it finds it dead");
    world.hears(3);
    assert_eq!(world.obedience.mirror.peer_number(&node(3)), Some(2));
    world.maps().named = [0].into();
    world.after = 3 * MEMORY;
    world.obeys();
    assert!(world.maps().peers.contains_key(&0), "an upload goes on");
    (world.maps().named, world.maps().sockets) = ([].into(), ["198.18.0.1".parse().unwrap()].into());
    world.after += HOUSEKEEPING;
    world.obeys();
    assert!(world.maps().peers.contains_key(&0), "a call of its clients is being answered");
    world.maps().sockets.clear();
    world.after += HOUSEKEEPING;
    world.obeys();
    assert!(!world.maps().peers.contains_key(&0));
    world.hears(4);
    assert_eq!(world.obedience.mirror.peer_number(&node(4)), Some(0));
}

#[test]
fn a_number_stays_with_its_machine_also_after_this_agent() {
    let mut world = World::with_peers([1, 2]);
    without_1(&mut world);
    let mut next = World::of(std::mem::take(world.maps()));
    next.after = world.after + SECOND;
    next.hears(2);
    assert!(!next.obedience.is_holding(next.now()), "nobody waits for who had gone before");
    next.hears(3);
    assert_eq!(next.obedience.mirror.peer_number(&node(3)), Some(2));
    // Another identity on the machine that n1 was on.
    next.peers.connected(node(5), tunnel(1).into());
    next.peers.state(node(5), state(1), next.now());
    let handoffs = next.peers.handoffs();
    next.obedience.admit(&handoffs);
    assert_eq!(next.obedience.mirror.peer_number(&node(5)), Some(0));
}
