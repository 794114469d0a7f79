use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    forecast::Load,
    strategy::test_names::{function, node},
};
use proptest::prelude::*;

const LIMITS: Usage = Usage { cpu: 100.0, ram: 1000.0, power: 1000.0 };

/// One percent of CPU for each call of the LOW group, two of MEDIUM; memory and power do not move. Counts its calls.
#[derive(Default)]
struct Linear {
    idle: Usage,
    asked: AtomicUsize,
}

impl Forecaster for Linear {
    fn usage(&self, _: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(Usage { cpu: self.idle.cpu + load.groups.low + 2.0 * load.groups.medium, ..self.idle })
    }
}

fn own<'a>(groups: &'a Groups, rates: &[(&str, f64)]) -> Own<'a> {
    let rates = rates.iter().map(|(name, rate)| (function(name), *rate)).collect();
    Own { node: NodeType::Mid, limits: LIMITS, rates, groups }
}

fn peer(margin: f64, functions: &[&str]) -> PeerMargin {
    let functions = functions.iter().map(|name| function(name)).collect();
    PeerMargin { limits: LIMITS, margin, functions, ..PeerMargin::default() }
}

fn weights(local: u32, peers: &[(u8, u32)]) -> Weights {
    Weights { local, reject: 0, peers: peers.iter().map(|(n, w)| (node(*n), *w)).collect() }
}

fn of(weights: &BTreeMap<FunctionName, Weights>, name: &str) -> Weights {
    weights[&function(name)].clone()
}

#[test]
fn a_node_with_room_keeps_everything_and_asks_once() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 100.0), ("curl", 0.0)]);
    let peers = BTreeMap::from([(node(1), peer(50.0, &["env", "curl"]))]);
    let weights = weigh(&own, &peers, &forecaster, &Options::LIVE).unwrap();
    assert_eq!((of(&weights, "env"), of(&weights, "curl")), (Weights::local(), Weights::local()));
    assert_eq!(forecaster.asked.into_inner(), 1);
}

#[test]
fn an_overloaded_node_sends_what_is_too_much_to_peers_that_run_the_function() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 200.0)]);
    let peers = BTreeMap::from([
        (node(1), peer(30.0, &["env"])),
        (node(2), peer(30.0, &["env", "curl"])),
        (node(3), peer(30.0, &["curl"])),
        (node(4), peer(0.0, &["env"])),
    ]);
    // The mean of three metrics grows by a third of CPU, so a margin of 30 points is room for 90 calls.
    assert_eq!(of(&weigh(&own, &peers, &forecaster, &Options::LIVE).unwrap(), "env"), weights(50, &[(1, 26), (2, 24)]));
}

#[test]
fn the_last_step_takes_no_more_than_needed() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 101.0)]);
    let peers = BTreeMap::from([(node(1), peer(30.0, &["env"]))]);
    let weights = weigh(&own, &peers, &forecaster, &Options::LIVE).unwrap();
    assert_eq!(of(&weights, "env"), self::weights(99, &[(1, 1)]));
}

#[test]
fn a_peer_gets_no_more_than_its_margin_and_never_beyond_a_limit() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 1000.0)]);
    let small = BTreeMap::from([(node(1), peer(7.0, &["env"]))]);
    // Room for 21 calls, in steps of 10.
    assert_eq!(of(&weigh(&own, &small, &forecaster, &Options::LIVE).unwrap(), "env").peers[&node(1)], 2);
    let busy = PeerMargin { load: GroupRates { low: 80.0, ..GroupRates::default() }, ..peer(90.0, &["env"]) };
    let busy = BTreeMap::from([(node(1), busy)]);
    assert_eq!(of(&weigh(&own, &busy, &forecaster, &Options::LIVE).unwrap(), "env").peers[&node(1)], 2);
}

/// B11: moving a function that is in no group changes no forecast, so it would be moved for ever.
#[test]
fn a_function_in_no_group_is_not_moved() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 150.0), ("unknown", 1e9)]);
    let peers = BTreeMap::from([(node(1), peer(60.0, &["env", "unknown"]))]);
    for options in [Options::LIVE, Options::COMPATIBLE] {
        let weights = weigh(&own, &peers, &forecaster, &options).unwrap();
        assert_eq!(of(&weights, "unknown"), Weights::local());
        assert!(of(&weights, "env").local < 70);
    }
    assert!(forecaster.asked.into_inner() < 150);
}

/// B11: memory above its limit whatever the load.
#[test]
fn a_metric_that_no_load_changes_moves_nothing() {
    let idle = Usage { ram: 2000.0, ..Usage::default() };
    let (groups, forecaster) = (Groups::default(), Linear { idle, ..Linear::default() });
    let own = own(&groups, &[("env", 50.0), ("curl", 10.0)]);
    let peers =
        BTreeMap::from([(node(1), PeerMargin { limits: Usage { ram: 9000.0, ..LIMITS }, ..peer(60.0, &["env"]) })]);
    for options in [Options::LIVE, Options::COMPATIBLE] {
        assert_eq!(of(&weigh(&own, &peers, &forecaster, &options).unwrap(), "env"), Weights::local());
    }
    assert!(forecaster.asked.into_inner() < 10);
}

#[test]
fn twenty_peers_and_twenty_functions_take_a_bounded_number_of_forecasts() {
    let names: Vec<String> = (0..20).map(|i| format!("f{i}")).collect();
    let list = serde_json::to_string(&names).unwrap();
    let groups = Groups::from_json(&format!(r#"{{"HIGH_USAGE":[],"MEDIUM_USAGE":[],"LOW_USAGE":{list}}}"#)).unwrap();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let own = own(&groups, &names.iter().map(|name| (*name, 1000.0)).collect::<Vec<_>>());
    // Peers that take everything, a part and nothing: none of them relieves the node.
    for margin in [99.0, 10.0, 1e-6] {
        let limits = Usage { cpu: 1e9, ram: 1e9, power: 1e9 };
        let peers = (0..20).map(|i| (node(i), PeerMargin { limits, ..peer(margin, &names) })).collect();
        let forecaster = Linear { idle: Usage { cpu: 101.0, ..Usage::default() }, ..Linear::default() };
        weigh(&own, &peers, &forecaster, &Options::LIVE).unwrap();
        let asked = forecaster.asked.into_inner();
        // 25 steps for each function, 3 refusals for each pair, 2 forecasts each, and a few to begin and end with.
        assert!(asked <= 2 * 20 * 25 + 3 * 400 + 20 + 60, "{asked} forecasts at margin {margin}");
    }
}

#[test]
fn the_budget_ends_the_exchange_with_what_is_planned() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 200.0)]);
    let peers = BTreeMap::from([(node(1), peer(90.0, &["env"]))]);
    let options = Options { most_forecasts: 9, ..Options::LIVE };
    let weights = weigh(&own, &peers, &forecaster, &options).unwrap();
    assert_eq!(of(&weights, "env"), self::weights(88, &[(1, 12)]));
}

#[test]
fn the_margin_of_the_reference_example() {
    let limits = Usage { cpu: 120.0, ram: 5.5e9, power: 2.1e6 };
    let usage = Usage { cpu: 60.0, ram: 2.2e9, power: 1.05e6 };
    let margin = |usage, limits, common| super::margin(&usage, &limits, common, &Options::LIVE);
    assert!((margin(usage, limits, 2) - 26.67).abs() < 0.005);
    assert_eq!(margin(usage, limits, 0), 0.0);
    assert_eq!(margin(Usage { cpu: 120.1, ..usage }, limits, 2), 0.0);
}

#[test]
fn thresholds_that_make_no_sense_give_no_margin_and_no_panic() {
    for limit in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        let limits = Usage { cpu: limit, ..LIMITS };
        for used in [0.0, 5.0, f64::NAN] {
            let usage = Usage { cpu: used, ..Usage::default() };
            let margin = margin(&usage, &limits, 3, &Options::LIVE);
            assert!((0.0..100.0).contains(&margin), "limit {limit}, used {used}: margin {margin}");
        }
        let (groups, forecaster) = (Groups::default(), Linear::default());
        let own = Own { limits, ..own(&groups, &[("env", 10.0)]) };
        let peers = BTreeMap::from([(node(1), PeerMargin { limits, ..peer(50.0, &["env"]) })]);
        assert_eq!(of(&weigh(&own, &peers, &forecaster, &Options::LIVE).unwrap(), "env"), Weights::local());
    }
}

/// B12: what a peer says, or that it is gone, must not matter to the others.
#[test]
fn peers_that_say_nonsense_are_not_used() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 200.0)]);
    let load = |low| GroupRates { low, ..GroupRates::default() };
    let peers = BTreeMap::from([
        (node(1), peer(f64::NAN, &["env"])),
        (node(2), peer(f64::INFINITY, &["env"])),
        (node(3), PeerMargin { load: load(f64::NAN), ..peer(90.0, &["env"]) }),
        (node(4), PeerMargin { load: load(-1e9), ..peer(90.0, &["env"]) }),
        (node(5), peer(90.0, &[])),
        (node(6), PeerMargin { limits: Usage { cpu: f64::NAN, ..LIMITS }, ..peer(90.0, &["env"]) }),
        (node(7), peer(10.0, &["env"])),
    ]);
    let weights = weigh(&own, &peers, &forecaster, &Options::LIVE).unwrap();
    assert_eq!(of(&weights, "env").peers.into_keys().collect::<Vec<_>>(), [node(7)]);
    assert_eq!(of(&weigh(&own, &BTreeMap::new(), &forecaster, &Options::LIVE).unwrap(), "env"), Weights::local());
}

#[test]
fn the_original_arithmetic_moves_hundredths_of_what_is_kept() {
    let (groups, forecaster) = (Groups::default(), Linear::default());
    let own = own(&groups, &[("env", 200.0), ("nmap", 0.0)]);
    let peers = BTreeMap::from([(node(1), peer(60.0, &["env"])), (node(2), peer(60.0, &["env"]))]);
    // 0.99 to the power of 69 is the first below a half: 35 turns for the first peer, 34 for the second.
    assert_eq!(
        of(&weigh(&own, &peers, &forecaster, &Options::COMPATIBLE).unwrap(), "env"),
        weights(50, &[(1, 25), (2, 25)])
    );
}

#[test]
fn without_a_forecast_there_are_no_weights() {
    struct Broken;
    impl Forecaster for Broken {
        fn usage(&self, _: NodeType, _: &Load<'_>) -> Result<Usage, ForecastError> {
            Err(ForecastError("no answer".into()))
        }
    }
    let groups = Groups::default();
    let error = weigh(&own(&groups, &[("env", 1.0)]), &BTreeMap::new(), &Broken, &Options::LIVE).unwrap_err();
    assert_eq!(error.to_string(), "no answer");
}

proptest! {
    #[test]
    fn any_state_gives_weights_that_sum_to_a_hundred(
        rates in prop::collection::vec(0.0f64..500.0, 3),
        peers in prop::collection::vec((-5.0f64..80.0, 0.0f64..90.0, 0usize..8), 0..6),
        idle in 0.0f64..120.0,
    ) {
        let names = ["env", "curl", "unknown"];
        let groups = Groups::default();
        let own = own(&groups, &names.iter().copied().zip(rates.iter().copied()).collect::<Vec<_>>());
        let told: BTreeMap<_, _> = peers.iter().enumerate().map(|(i, (margin, low, runs))| {
            let runs: Vec<_> = (0..3).filter(|bit| runs >> bit & 1 == 1).map(|bit| names[bit]).collect();
            let load = GroupRates { low: *low, ..GroupRates::default() };
            (node(i as u8), PeerMargin { load, ..peer(*margin, &runs) })
        }).collect();
        let forecaster = Linear { idle: Usage { cpu: idle, ..Usage::default() }, ..Linear::default() };
        let weights = weigh(&own, &told, &forecaster, &Options::LIVE).unwrap();
        prop_assert_eq!(weights.len(), 3);
        for (function, weights) in &weights {
            prop_assert_eq!(weights.local + weights.peers.values().sum::<u32>(), 100);
            prop_assert!(weights.peers.keys().all(|id| told[id].functions.contains(function)));
            prop_assert!(weights.peers.keys().all(|id| told[id].margin > 0.0));
        }
        prop_assert_eq!(&weights[&function("unknown")], &Weights::local());
    }
}
