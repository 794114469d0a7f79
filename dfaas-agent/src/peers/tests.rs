use super::{peer::seal, *};
use crate::{
    forecast::NodeType,
    mode::Mode,
    p2p::{
        direct::TunnelKey,
        message::{Load, MarginInfo, MaxValues, NodeMarginInfo, RecalcInfo, StaticInfo},
    },
    strategy::{
        PeerFunction, Strategy,
        test_names::{function, node},
    },
};

fn state(leaving: bool) -> NodeState {
    NodeState {
        version: 1,
        sequence: 1,
        started_ms: 0,
        mode: Mode::Handoff,
        service: Some("10.0.0.2:80".parse().unwrap()),
        tunnel: Some("10.0.0.2".parse().unwrap()),
        proxy: None,
        tunnel_key: Some(TunnelKey { epoch: 3, key: [7; 16], token: 9 }),
        functions: [(
            function("f"),
            crate::p2p::direct::FunctionState { limit: 5.0, rate: 30.0, max_rate: Some(20.0) },
        )]
        .into(),
        margin: None,
        draining: false,
        leaving,
    }
}

const TERMS: Terms =
    Terms { timeout: Duration::from_secs(3), period: Duration::from_secs(1), strategy: Strategy::Recalc };

fn peers() -> (Peers, Instant) {
    (Peers::new(node(0), TERMS), Instant::now())
}

const LIFETIME: Duration = Duration::from_secs(30);

#[test]
fn a_silent_or_leaving_peer_is_used_no_more() {
    let (mut peers, now) = peers();
    peers.state(node(1), state(false), now);
    peers.state(node(2), state(true), now);
    assert_eq!(peers.views(now, LIFETIME).keys().collect::<Vec<_>>(), [&node(1)]);
    let later = now + Duration::from_secs(4);
    assert_eq!(peers.views(later, LIFETIME)[&node(1)].functions[&function("f")].limit_out, 0.0);
    assert_eq!(peers.standing(&node(1), later), Standing::Silent);
}

#[test]
fn what_a_silent_or_draining_peer_needs_is_remembered_for_the_life_of_a_grant() {
    let (mut peers, now) = peers();
    peers.state(node(1), state(false), now);
    peers.state(node(2), NodeState { draining: true, ..state(false) }, now);
    for after_s in [4, 30] {
        let views = peers.views(now + Duration::from_secs(after_s), LIFETIME);
        assert_eq!(views.len(), 2);
        assert!(views.values().all(|view| view.functions[&function("f")].excess == 10.0));
    }
    assert!(peers.views(now + Duration::from_secs(31), LIFETIME).is_empty());
}

#[test]
fn what_a_peer_offers_above_its_limit_is_its_excess() {
    let (mut peers, now) = peers();
    peers.state(node(1), state(false), now);
    assert_eq!(
        peers.views(now, LIFETIME)[&node(1)].functions[&function("f")],
        PeerFunction { limit_out: 5.0, excess: 10.0 }
    );
}

#[test]
fn a_broadcast_keeps_a_state_in_force() {
    let (mut peers, now) = peers();
    peers.state(node(1), state(false), now);
    let proxy = ProxyAddress { host: "10.0.0.2".parse().unwrap(), port: 30080 };
    let later = now + Duration::from_secs(3);
    peers.broadcast(node(1), Message::Recalc(RecalcInfo { proxy, limits: [(node(0), BTreeMap::new())].into() }), later);
    assert_eq!(peers.standing(&node(1), now + Duration::from_secs(5)), Standing::Up);
    assert_eq!(peers.standing(&node(1), now + Duration::from_secs(7)), Standing::Silent);
}

#[test]
fn a_peer_speaks_for_its_own_address_only() {
    let (mut peers, now) = peers();
    peers.state(node(1), state(false), now);
    assert!(peers.handoffs().is_empty(), "not connected from there");
    peers.connected(node(1), "10.0.0.2".parse().unwrap());
    assert_eq!(peers.handoffs().len(), 1);
    let thief = NodeState { tunnel: Some("10.0.0.3".parse().unwrap()), ..state(false) };
    peers.connected(node(2), "10.0.0.3".parse().unwrap());
    peers.state(node(2), thief, now);
    assert_eq!(peers.handoffs().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [node(1)]);
}

#[test]
fn a_key_holds_until_there_is_another() {
    let (mut peers, now) = peers();
    peers.state(node(1), state(false), now);
    peers.state(node(1), NodeState { tunnel_key: None, ..state(false) }, now);
    assert_eq!(peers.nodes[&node(1)].handoff().unwrap().seal.epoch, 3);
}

#[test]
fn keys_survive_the_way_to_the_kernel_and_back() {
    let key = TunnelKey { epoch: 3, key: std::array::from_fn(|i| i as u8), token: 9 };
    assert_eq!(tunnel_key(&seal(&key)), key);
}

#[test]
fn a_broadcast_that_does_not_name_us_grants_nothing() {
    let (mut peers, now) = peers();
    let proxy = ProxyAddress { host: "10.0.0.5".parse().unwrap(), port: 30080 };
    let limits = [(function("f"), 4.0)].into();
    peers.broadcast(
        node(1),
        Message::Recalc(RecalcInfo { proxy: proxy.clone(), limits: [(node(3), limits)].into() }),
        now,
    );
    assert_eq!(peers.standing(&node(1), now), Standing::Known);
    let limits = [(function("f"), 4.0)].into();
    peers.broadcast(node(1), Message::Recalc(RecalcInfo { proxy, limits: [(node(0), limits)].into() }), now);
    assert_eq!(peers.views(now, LIFETIME)[&node(1)].functions[&function("f")].limit_out, 4.0);
    assert_eq!(peers.standing(&node(1), now + Duration::from_secs(76)), Standing::Silent);
}

#[test]
fn a_peer_gone_for_long_is_forgotten() {
    let (mut peers, now) = peers();
    peers.connected(node(1), "10.0.0.2".parse().unwrap());
    peers.state(node(1), state(false), now);
    peers.disconnected(&node(1));
    assert!(peers.forget(now + Duration::from_secs(500)).is_empty());
    assert_eq!(peers.forget(now + Duration::from_secs(601)), [node(1)]);
}

fn proxy() -> ProxyAddress {
    ProxyAddress { host: "10.0.0.5".parse().unwrap(), port: 30080 }
}

fn as_strategy(strategy: Strategy) -> (Peers, Instant) {
    (Peers::new(node(0), Terms { strategy, ..TERMS }), Instant::now())
}

fn runs(names: &[&str]) -> Message {
    let functions = names.iter().map(|name| function(name)).collect();
    let max_values = MaxValues { cpu_percent: 120.0, ram_bytes: 5.5e9, power_microwatts: 2.1e6 };
    Message::NodeMargin(NodeMarginInfo { proxy: proxy(), node_type: NodeType::Light, max_values, functions })
}

fn margin(margin: f64) -> Message {
    Message::Margin(MarginInfo { margin, load: Load { high: 1.0, low: 2.0, medium: 3.0 } })
}

/// B5.
#[test]
fn a_margin_before_anything_else_is_ignored() {
    let (mut peers, now) = as_strategy(Strategy::NodeMargin);
    peers.broadcast(node(1), margin(27.5), now);
    assert!(peers.views(now, LIFETIME).is_empty());
    peers.broadcast(node(1), runs(&["f"]), now);
    assert_eq!(peers.views(now, LIFETIME)[&node(1)].margin, None);
}

/// B6.
#[test]
fn every_group_of_an_announced_load_is_kept() {
    let (mut peers, now) = as_strategy(Strategy::NodeMargin);
    peers.broadcast(node(1), runs(&["f"]), now);
    peers.broadcast(node(1), margin(27.5), now);
    let view = peers.views(now, LIFETIME)[&node(1)].margin.unwrap();
    assert_eq!((view.load.high, view.load.low, view.load.medium), (1.0, 2.0, 3.0));
    assert_eq!((view.margin, view.node_type, view.thresholds.cpu), (27.5, NodeType::Light, 120.0));
}

/// B7.
#[test]
fn a_function_taken_away_is_no_longer_used() {
    for strategy in [Strategy::NodeMargin, Strategy::Static] {
        let (mut peers, now) = as_strategy(strategy);
        let message = |names: &[&str]| match strategy {
            Strategy::Static => Message::Static(StaticInfo {
                proxy: proxy(),
                functions: names.iter().map(|name| function(name)).collect(),
            }),
            _ => runs(names),
        };
        peers.broadcast(node(1), message(&["f", "g"]), now);
        peers.broadcast(node(1), message(&["g"]), now);
        let view = &peers.views(now, LIFETIME)[&node(1)];
        assert_eq!(view.functions.keys().collect::<Vec<_>>(), [&function("g")]);
    }
}

#[test]
fn original_agents_of_another_strategy_are_not_used() {
    let (mut peers, now) = as_strategy(Strategy::Recalc);
    peers.broadcast(node(1), runs(&["f"]), now);
    assert!(peers.views(now, LIFETIME).is_empty());
    peers.set_terms(Terms { strategy: Strategy::NodeMargin, ..TERMS });
    assert_eq!(peers.views(now, LIFETIME).len(), 1);
}

#[test]
fn made_up_authors_do_not_fill_memory() {
    let (mut peers, start) = peers();
    let author = |n| format!("12D3KooW{:x>44}", base58(n)).parse::<NodeId>().unwrap();
    peers.state(node(1), state(false), start);
    peers.connected(node(2), "10.0.0.2".parse().unwrap());
    for n in 0..2 * MAX_NODES {
        peers.broadcast(author(n), runs(&["f"]), start + Duration::from_millis(n as u64));
    }
    assert_eq!(peers.iter().count(), MAX_NODES);
    let known = [1, 2].map(|n| peers.nodes.contains_key(&node(n)));
    assert_eq!(known, [true, true], "nodes we know ourselves stay");
    assert!(peers.nodes.contains_key(&author(2 * MAX_NODES - 1)), "a new one is heard though the table is full");
    assert!(!peers.nodes.contains_key(&author(0)), "the one silent for longest made way");
}

/// Two nodes with one key: the broadcasts of both arrive, the states of one.
#[test]
fn a_broadcast_does_not_move_the_proxy_of_a_peer_that_says_directly_where_it_is() {
    let (mut peers, now) = peers();
    let own = ProxyAddress { host: "10.0.0.2".parse().unwrap(), port: 30080 };
    peers.state(node(1), NodeState { proxy: Some(own.clone()), ..state(false) }, now);
    let other = || Message::Recalc(RecalcInfo { proxy: proxy(), limits: [(node(0), BTreeMap::new())].into() });
    peers.broadcast(node(1), other(), now + Duration::from_secs(3));
    assert_eq!(peers.nodes[&node(1)].proxy, Some((own.host, own.port)));
    peers.broadcast(node(1), other(), now + Duration::from_secs(4));
    assert_eq!(peers.nodes[&node(1)].proxy, Some((proxy().host, proxy().port)), "its states have ended");
}

#[test]
fn who_says_nothing_to_us_takes_no_place() {
    let (mut peers, now) = peers();
    let margin = MarginInfo { margin: 1.0, load: Load { high: 0.0, low: 0.0, medium: 0.0 } };
    for message in [Message::Text("x".into()), Message::Unknown("x".into()), Message::Margin(margin)] {
        peers.broadcast(node(1), message, now);
    }
    assert_eq!(peers.iter().count(), 0);
}

fn base58(mut n: usize) -> String {
    let digits = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut text = String::new();
    while n > 0 {
        text.push(char::from(digits[n % 58]));
        n /= 58;
    }
    text
}
