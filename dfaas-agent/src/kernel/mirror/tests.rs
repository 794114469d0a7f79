use std::net::IpAddr;

use dfaas_common::{
    address::AddressV4,
    peer::{DEAD, MAX_PEERS, Seal, UP},
    route::SLOT_REFUSE,
    siphash::Key,
};

use super::*;
use crate::{
    decision::{FunctionTable, Shape, Weights},
    kernel::{maps::twin::Twin, network::NextHop},
    strategy::test_names::{function, node},
};

const ALIASES: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 16);
const BURST: Duration = Duration::from_millis(200);

fn mirror_of(twin: Twin) -> Mirror<Twin> {
    Mirror::new(twin, ALIASES, BURST, 1 << 40).unwrap()
}

fn mirror() -> Mirror<Twin> {
    mirror_of(Twin::default())
}

fn tunnel(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn facts(n: u8) -> PeerFacts {
    PeerFacts {
        tunnel: tunnel(n),
        service: format!("10.1.0.{n}:80").parse().unwrap(),
        next_hop: NextHop { ifindex: 2, mac: [n; 6] },
        send: Seal { key: Key(1, 2), token: 3, epoch: 4, reserved: 0 },
        state: UP,
        expires_ns: 9,
    }
}

fn admit(mirror: &mut Mirror<Twin>, n: u8) -> u32 {
    let number = mirror.admit_peer(&node(n), tunnel(n)).unwrap();
    mirror.write_peer(&node(n), &facts(n)).unwrap();
    number
}

fn table(peer: u8) -> FunctionTable {
    FunctionTable {
        deployed: true,
        local_limit: Some(10.0),
        shape: Shape::LocalFirst,
        weights: Weights { local: 0, reject: 0, peers: [(node(peer), 100)].into() },
        limits_out: [(node(peer), 20.0)].into(),
        limits_in: BTreeMap::new(),
        timeout: None,
    }
}

fn decision(version: u32, names: &[&str]) -> Decision {
    let functions = names.iter().map(|name| (function(name), table(1))).collect();
    Decision { version, functions, peers: BTreeMap::new() }
}

fn write(mirror: &mut Mirror<Twin>, decision: &Decision) -> Result<usize> {
    mirror.write_routes(decision, &BTreeMap::new())
}

#[test]
fn only_what_differs_is_written() {
    let mut mirror = mirror();
    assert_eq!(write(&mut mirror, &decision(1, &["f", "g"])).unwrap(), 2);
    let writes = mirror.maps().writes;
    assert_eq!(write(&mut mirror, &decision(2, &["f", "g"])).unwrap(), 0, "a new version alone is no difference");
    assert_eq!(mirror.maps().writes, writes);
    admit(&mut mirror, 1);
    assert_eq!(write(&mut mirror, &decision(3, &["f"])).unwrap(), 2, "f has a peer now, g is gone");
    let routes = &mirror.maps().routes;
    assert_eq!((routes.len(), routes[&key(&function("f")).unwrap()].slots[0]), (1, 0));
}

#[test]
fn a_table_that_cannot_be_written_takes_nothing_from_the_others() {
    let bad = Name::new("bad").unwrap();
    let mut mirror = mirror_of(Twin { bad_route: Some(bad), ..Twin::default() });
    let error = write(&mut mirror, &decision(1, &["a", "bad", "c"])).unwrap_err();
    assert_eq!(format!("{error:#}"), "function bad: cannot write a routing table");
    assert_eq!(mirror.maps().routes.len(), 2);
    mirror.maps_mut().bad_route = None;
    assert_eq!(write(&mut mirror, &decision(1, &["a", "bad", "c"])).unwrap(), 1, "it is tried again");
}

#[test]
fn a_functions_number_is_free_for_another_one_whose_buckets_begin_anew() {
    let mut mirror = mirror();
    write(&mut mirror, &decision(1, &["f", "g"])).unwrap();
    let number = mirror.function_number(&function("f")).unwrap();
    write(&mut mirror, &decision(2, &["g", "h"])).unwrap();
    assert_eq!(mirror.function_number(&function("h")), Some(number));
    assert_eq!(mirror.maps().reset.iter().filter(|n| **n == number).count(), 2);
    assert_eq!(mirror.function_name(number), Some(&function("h")));
}

#[test]
fn functions_beyond_the_room_are_named_and_the_others_are_steered() {
    let mut mirror = mirror();
    let names: Vec<String> = (0..=MAX_FUNCTIONS).map(|n| format!("f{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = write(&mut mirror, &decision(1, &names)).unwrap_err();
    assert!(format!("{error:#}").starts_with("function f256: no room"), "{error:#}");
    assert_eq!(mirror.maps().routes.len(), MAX_FUNCTIONS);
}

#[test]
fn a_peer_keeps_its_number_until_it_is_removed_and_then_another_has_it() {
    let mut mirror = mirror();
    let numbers = [1, 2, 3].map(|n| admit(&mut mirror, n));
    assert_eq!(numbers, [0, 1, 2]);
    mirror.revoke_peer(&node(2)).unwrap();
    assert_eq!(mirror.maps().peers[&1].state, DEAD);
    assert_eq!(admit(&mut mirror, 4), 3, "connections that were handed to it still name the number");
    mirror.remove_peer(&node(2)).unwrap();
    mirror.maps_mut().named = [1].into();
    mirror.release(1).unwrap();
    assert_eq!(mirror.maps().peers[&1].state, DEAD, "they still do");
    mirror.maps_mut().named.clear();
    mirror.release(1).unwrap();
    assert!(!mirror.maps().peers.contains_key(&1));
    assert!(mirror.maps().addresses.values().all(|n| *n != 1));
    assert_eq!(admit(&mut mirror, 5), 1);
    assert_eq!(mirror.maps().addresses[&IpAddr::from(tunnel(5))], 1);
    assert_eq!(mirror.maps().addresses.len(), 4 * 3, "tunnel end, service address and alias of each");
}

#[test]
fn there_are_as_many_numbers_as_the_maps_have_room() {
    let mut mirror = mirror();
    let name = |n: usize| format!("12D3KooW{n:044}").replace('0', "z").parse::<NodeId>().unwrap();
    for n in 1..=MAX_PEERS {
        assert!(mirror.admit_peer(&name(n * 11111), tunnel(n as u8)).is_some(), "peer {n}");
    }
    assert_eq!(mirror.admit_peer(&node(1), tunnel(200)), None);
}

#[test]
fn a_peer_that_moves_is_found_by_its_new_addresses_alone() {
    let mut mirror = mirror();
    admit(&mut mirror, 1);
    mirror.write_peer(&node(1), &PeerFacts { tunnel: tunnel(9), ..facts(1) }).unwrap();
    let addresses: Vec<IpAddr> = mirror.maps().addresses.keys().copied().collect();
    assert_eq!(addresses, ["10.0.0.9", "10.1.0.1", "198.18.0.1"].map(|a| a.parse::<IpAddr>().unwrap()));
}

#[test]
fn an_address_that_two_peers_claim_stays_with_the_first() {
    let mut mirror = mirror();
    admit(&mut mirror, 1);
    mirror.admit_peer(&node(2), tunnel(2)).unwrap();
    mirror.write_peer(&node(2), &PeerFacts { service: facts(1).service, ..facts(2) }).unwrap();
    assert_eq!(mirror.maps().addresses[&"10.1.0.1".parse::<IpAddr>().unwrap()], 0);
    assert_eq!(mirror.repair().unwrap(), 0, "and nobody quarrels about it");
}

#[test]
fn a_new_key_leaves_the_former_one_valid() {
    let mut mirror = mirror();
    admit(&mut mirror, 1);
    let old = mirror.receive_seal(&node(1)).unwrap();
    mirror.rotate_seals();
    mirror.write_peer(&node(1), &facts(1)).unwrap();
    let receive = mirror.maps().peers[&0].receive;
    assert_eq!((receive[1], receive[0].epoch), (old, old.epoch + 1));
}

#[test]
fn a_former_agents_peers_keep_their_numbers_and_those_that_stay_away_are_forgotten() {
    let mut former = mirror();
    _ = [1, 2, 3].map(|n| admit(&mut former, n));
    write(&mut former, &decision(7, &["f"])).unwrap();
    let Mirror { maps, .. } = former;
    let mut mirror = mirror_of(maps);
    assert_eq!((mirror.inherited_peers(), mirror.peer_number(&node(3))), (3, None));
    assert_eq!(mirror.function_number(&function("f")), Some(0));
    assert_eq!(mirror.admit_peer(&node(3), tunnel(3)), Some(2));
    assert_eq!(
        mirror.admit_peer(&node(4), tunnel(4)),
        Some(3),
        "numbers of those that may come back are not given away"
    );
    assert_eq!(mirror.forget_inherited().unwrap(), 2);
    assert_eq!([0, 1].map(|n| mirror.maps().peers[&n].state), [DEAD, DEAD]);
    mirror.release(u64::MAX).unwrap();
    assert_eq!(mirror.maps().peers.keys().copied().collect::<Vec<_>>(), [2]);
    assert_eq!(mirror.maps().addresses.len(), 3);
}

type Vandal = fn(&mut Twin);

/// Somebody with `bpftool`, or a second agent with the same pins.
#[test]
fn foreign_changes_to_every_map_are_put_right() {
    let mut mirror = mirror();
    _ = [1, 2].map(|n| admit(&mut mirror, n));
    write(&mut mirror, &decision(1, &["f", "g"])).unwrap();
    let right = (
        mirror.maps().routes.clone(),
        mirror.maps().peers.clone(),
        mirror.maps().addresses.clone(),
        mirror.maps().control,
        mirror.maps().answers.clone(),
    );
    let vandals: [(&str, Vandal); 12] = [
        ("a route is gone", |t| _ = t.routes.pop_first()),
        ("a route is another", |t| t.routes.first_entry().unwrap().get_mut().slots.fill(SLOT_REFUSE)),
        ("a route is foreign", |t| {
            let route = *t.routes.first_key_value().unwrap().1;
            t.routes.insert(Name::new("foreign").unwrap(), route);
        }),
        ("a peer is gone", |t| _ = t.peers.pop_first()),
        ("a peer is another", |t| t.peers.first_entry().unwrap().get_mut().tunnel = AddressV4::from_raw(7)),
        ("a peer is foreign", |t| _ = t.peers.insert(50, Peer::default())),
        ("an address is gone", |t| _ = t.addresses.pop_first()),
        ("an address is another's", |t| *t.addresses.first_entry().unwrap().get_mut() = 1),
        ("an address is foreign", |t| _ = t.addresses.insert("1.2.3.4".parse().unwrap(), 0)),
        ("the node drains", |t| t.control.draining = 1),
        ("the keys are others", |t| t.control.secret.next = Key(1, 1)),
        ("an answer is another", |t| t.answers.get_mut(&ANSWER_BUSY).unwrap().len = 1),
    ];
    for (what, vandal) in vandals {
        vandal(mirror.maps_mut());
        assert_eq!(mirror.repair().unwrap(), 1, "{what}");
        let t = mirror.maps();
        let found = (t.routes.clone(), t.peers.clone(), t.addresses.clone(), t.control, t.answers.clone());
        assert!(found == right, "{what}");
        assert_eq!(mirror.repair().unwrap(), 0, "{what}, looked at again");
    }
}

#[test]
fn an_admitted_peer_that_has_not_been_written_is_no_difference() {
    let mut mirror = mirror();
    mirror.admit_peer(&node(1), tunnel(1)).unwrap();
    mirror.receive_seal(&node(1)).unwrap();
    assert_eq!(mirror.repair().unwrap(), 0);
}

#[test]
fn draining_ends_with_the_agent_that_drains() {
    let mut former = mirror();
    former.drain().unwrap();
    assert_eq!(former.maps().control.draining, 1);
    assert_eq!(former.repair().unwrap(), 0, "it is meant");
    let Mirror { maps, control, .. } = former;
    let mirror = mirror_of(maps);
    assert_eq!(mirror.maps().control.draining, 0);
    assert_eq!(mirror.maps().control.secret, control.secret, "cookies that are out stay valid");
}

#[test]
fn cookie_keys_change_without_a_moment_in_which_a_cookie_that_is_out_is_refused() {
    let mut control = Control::default();
    secrets::rotate_cookie_key(&mut control, 100, |_| Ok(())).unwrap();
    let drawn = control.secret;
    let mut made_with = control.secret.key(100);
    for epoch in 101..400 {
        let now = control.secret.key(epoch);
        assert_eq!(control.secret.key(epoch - 1), made_with, "cookies of the last epoch at {epoch}");
        let mut written = Vec::new();
        secrets::rotate_cookie_key(&mut control, epoch, |c| {
            written.push(c.secret);
            Ok(())
        })
        .unwrap();
        for secret in written {
            assert_eq!((secret.key(epoch - 1), secret.key(epoch)), (made_with, now), "while it changes at {epoch}");
        }
        made_with = now;
    }
    assert_ne!(drawn, control.secret, "there was a change");
}
