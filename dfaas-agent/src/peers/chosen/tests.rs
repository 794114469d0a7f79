use super::*;
use crate::{
    mode::Mode,
    p2p::{
        direct::{FunctionState, NodeState},
        message::ProxyAddress,
    },
    peers::{MAX_DEPARTED, Terms},
    strategy::{
        Strategy,
        test_names::{function, node},
    },
};

const TERMS: Terms =
    Terms { timeout: Duration::from_secs(3), period: Duration::from_secs(1), strategy: Strategy::Recalc };

fn name(n: usize) -> NodeId {
    format!("12D3KooW{n:044}").parse().unwrap()
}

fn state(address: [u8; 4], port: u16, functions: &[&str]) -> NodeState {
    let functions = functions.iter().map(|name| (function(name), FunctionState::default())).collect();
    NodeState {
        version: 1,
        sequence: 1,
        started_ms: 0,
        mode: Mode::Off,
        service: None,
        tunnel: None,
        proxy: Some(ProxyAddress { host: IpAddr::from(address).to_string().parse().unwrap(), port }),
        tunnel_key: None,
        functions,
        margin: None,
        draining: false,
        leaving: false,
    }
}

fn speaks(peers: &mut Peers, n: usize, address: [u8; 4], now: Instant) {
    peers.connected(name(n), address.into());
    peers.state(name(n), state(address, n as u16, &["f"]), now);
}

fn chosen(peers: &mut Peers, now: Instant, trusted: &[usize]) -> Vec<usize> {
    peers.choose(now, true, |node| trusted.iter().any(|n| name(*n) == *node));
    (0..2000).filter(|n| peers.is_chosen(&name(*n))).collect()
}

#[test]
fn names_that_one_address_makes_up_take_few_places_and_newcomers_none_that_is_taken() {
    let (mut peers, start) = (Peers::new(node(0), TERMS), Instant::now());
    for n in 0..1000 {
        speaks(&mut peers, n, [10, 0, 0, 9], start + Duration::from_millis(n as u64));
    }
    speaks(&mut peers, 1500, [10, 0, 0, 2], start + Duration::from_secs(1));
    assert_eq!(chosen(&mut peers, start + Duration::from_secs(1), &[]), [0, 1, 2, 3, 1500]);
}

#[test]
fn who_is_vouched_for_comes_first_and_is_not_counted_by_address() {
    let (mut peers, now) = (Peers::new(node(0), TERMS), Instant::now());
    for n in 0..200 {
        speaks(&mut peers, n, [10, 1, 0, n as u8], now);
    }
    for n in 1000..1010 {
        speaks(&mut peers, n, [10, 0, 0, 2], now + Duration::from_secs(1));
    }
    let members: Vec<usize> = (1000..1010).collect();
    let used = chosen(&mut peers, now + Duration::from_secs(1), &members);
    assert_eq!(used.len(), MAX_USED);
    assert!(used.ends_with(&members), "{used:?}");
}

/// Whatever it runs besides is not remembered in the first place.
#[test]
fn a_peer_without_a_function_that_runs_here_is_not_used() {
    let (mut peers, now) = (Peers::new(node(0), TERMS), Instant::now());
    peers.connected(name(1), [10, 0, 0, 2].into());
    peers.state(name(1), state([10, 0, 0, 2], 1, &[]), now);
    assert_eq!(chosen(&mut peers, now, &[1]), [0; 0]);
    peers.choose(now, false, |_| false);
    assert!(peers.is_chosen(&name(1)), "until this node knows what runs here");
}

/// One address with another identity every half second: without the hold each would be another structure for HAProxy.
#[test]
fn identities_that_come_and_go_change_the_choice_rarely() {
    let (mut peers, start) = (Peers::new(node(0), TERMS), Instant::now());
    let (mut changes, mut former) = (0, Vec::new());
    for n in 0..240 {
        let now = start + Duration::from_millis(500 * n as u64);
        speaks(&mut peers, n, [10, 0, 0, 9], now);
        peers.disconnected(&name(n));
        peers.forget(now);
        let now_chosen = chosen(&mut peers, now, &[]);
        changes += usize::from(now_chosen != former);
        former = now_chosen;
    }
    // In two minutes, four places, each held for half a minute.
    assert!(changes <= 20, "{changes}");
}

#[test]
fn of_many_that_have_departed_the_latest_and_those_in_use_are_remembered() {
    let (mut peers, start) = (Peers::new(node(0), TERMS), Instant::now());
    speaks(&mut peers, 0, [10, 0, 0, 2], start);
    peers.disconnected(&name(0));
    chosen(&mut peers, start, &[]);
    for n in 1..1000 {
        speaks(&mut peers, n, [10, 0, 0, 9], start + Duration::from_millis(n as u64));
        peers.disconnected(&name(n));
    }
    let forgotten = peers.forget(start + Duration::from_secs(1));
    assert_eq!((forgotten.len(), peers.iter().count()), (1000 - MAX_DEPARTED, MAX_DEPARTED));
    assert!(peers.is_chosen(&name(0)) && !forgotten.contains(&name(0)), "it is used");
    assert!(forgotten.contains(&name(1)) && !forgotten.contains(&name(999)));
}

fn trouble(peers: &Peers, n: usize) -> String {
    peers.trouble(&name(n)).unwrap_or_default()
}

#[test]
fn of_two_that_name_one_proxy_the_first_is_used() {
    let (mut peers, now) = (Peers::new(node(0), TERMS), Instant::now());
    for (n, after_s) in [(7, 1), (3, 2)] {
        peers.connected(name(n), [10, 0, 0, 2].into());
        peers.state(name(n), state([10, 0, 0, 2], 80, &["f"]), now + Duration::from_secs(after_s));
    }
    assert_eq!(chosen(&mut peers, now + Duration::from_secs(2), &[]), [7]);
    assert_eq!(trouble(&peers, 3), "announces the proxy address 10.0.0.2, which another peer had first");
    assert_eq!(trouble(&peers, 7), "");
}

#[test]
fn nobody_sends_our_calls_to_a_third_party_to_us_or_to_loopback() {
    let (mut peers, now) = (Peers::new(node(0), TERMS), Instant::now());
    peers.set_ours(["10.0.0.1".parse().unwrap()].into());
    let proxies = [[127, 0, 0, 1], [10, 0, 0, 1], [10, 0, 0, 77], [10, 0, 0, 9]];
    for (n, proxy) in proxies.into_iter().enumerate() {
        peers.connected(name(n), [10, 0, 0, 9].into());
        peers.state(name(n), state(proxy, 9999, &["f"]), now);
    }
    // A broadcast alone proves no address.
    speaks(&mut peers, 9, [10, 0, 0, 10], now);
    peers.nodes.get_mut(&name(9)).unwrap().remotes.clear();
    assert_eq!(chosen(&mut peers, now, &[0, 1, 2, 3]), [3]);
    assert!(trouble(&peers, 0).contains("127.0.0.1") && trouble(&peers, 2).contains("10.0.0.77"));
    let endpoints: Vec<String> = peers.chosen().map(|(_, _, proxy)| proxy.to_string()).collect();
    assert_eq!(endpoints, ["10.0.0.9:9999"]);
}

#[test]
fn the_addresses_a_peer_is_connected_by_are_those_of_now() {
    let (mut peers, now) = (Peers::new(node(0), TERMS), Instant::now());
    speaks(&mut peers, 1, [10, 0, 0, 2], now);
    assert_eq!(chosen(&mut peers, now, &[]), [1]);
    peers.reached(&name(1), &["192.0.2.9".parse().unwrap()], false);
    assert_eq!(chosen(&mut peers, now, &[]), [0; 0]);
    peers.reached(&name(1), &["192.0.2.9".parse().unwrap(), "::ffff:10.0.0.2".parse().unwrap()], false);
    assert_eq!(chosen(&mut peers, now, &[]), [1]);
}
