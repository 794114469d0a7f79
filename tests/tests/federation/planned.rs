//! Strategies that ask somebody: node margin a forecaster, the RL agent a model. Both services come and go.

use std::{net::SocketAddr, thread, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    routing::{any, post},
};
use dfaas_agent::{name::NodeId, status::Status};
use dfaas_tests::{
    client::{Call, Connections, Load, Tally},
    service::Service,
};
use serde_json::{Value, json};

use crate::{Bed, SETTLE};

const MODEL: &str = "127.0.0.1:6666";
const FORECASTER: &str = "127.0.0.1:6667";

fn load(bed: &Bed, rate: f64, seconds: u64) -> Tally {
    let call = Call::post(bed.url(0, "/function/figlet"), "hello").timeout(Duration::from_secs(20));
    let duration = Some(Duration::from_secs(seconds));
    let load = Load { call, rate, duration, connections: Connections::PerCall }.start(&bed.from()).unwrap();
    thread::sleep(Duration::from_secs(seconds));
    load.stop().unwrap()
}

fn bed(strategy: &str, settings: &[(&str, &str)]) -> Bed {
    Bed::new(|options| {
        strategy.clone_into(&mut options.strategy);
        options.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    })
}

fn wait(bed: &Bed, missing: impl Fn(&Status) -> Option<String>) {
    bed.wait_until(SETTLE, |statuses| missing(&statuses[0].1)).unwrap();
}

fn weights(status: &Status) -> (u32, u32, Vec<u32>) {
    let figlet = &status.functions[&"figlet".parse().unwrap()];
    (figlet.local_weight, figlet.reject_weight, figlet.weights.values().copied().collect())
}

/// Answers every question with the same shares, whatever the function.
fn model(bed: &Bed, shares: (f64, f64, f64)) -> Service {
    let own: NodeId = bed.nodes[0].id.clone();
    let mut answer = serde_json::Map::new();
    answer.insert("local".into(), json!(shares.0));
    answer.insert("reject".into(), json!(shares.2));
    for peer in &bed.nodes[1..] {
        answer.insert(format!("node_{}", peer.id), json!(shares.1));
    }
    let answer = Value::Object([(format!("node_{own}"), Value::Object(answer))].into_iter().collect());
    let router = Router::new().route("/action", post(move |_: Json<Value>| async move { Json(answer) }));
    let place = bed.host(0).namespace.entrance().unwrap();
    Service::start(&place, MODEL.parse::<SocketAddr>().unwrap(), router).unwrap()
}

#[test]
fn calls_go_as_a_model_says_and_stay_here_while_it_is_silent() {
    let bed = bed("rlagentstrategy", &[("AGENT_RLMODEL_HOST", "127.0.0.1")]);
    let component = |status: &Status| status.planner.clone().unwrap_or_else(|| panic!("no planner"));
    wait(&bed, |status| status.planner.as_ref().is_none_or(|p| p.healthy).then(|| "the model is not missed".into()));
    assert_eq!(weights(&bed.status(0).unwrap()), (100, 0, vec![]));

    let running = model(&bed, (0.4, 0.2, 0.2));
    wait(&bed, |status| (weights(status) != (40, 20, vec![20, 20])).then(|| format!("{:?}", weights(status))));
    assert!(component(&bed.status(0).unwrap()).healthy);
    let total = load(&bed, 20.0, 10).total();
    let shares = bed.nodes.iter().map(|node| total.served_by(&node.id)).collect::<Vec<_>>();
    let refused = total.unsuccessful();
    for (found, expected) in shares.iter().chain([&refused]).zip([80, 40, 40, 40]) {
        assert!(found.abs_diff(expected) <= 4, "{shares:?}, {refused} refused: {:?}", total.outcomes);
    }

    drop(running);
    wait(&bed, |status| (weights(status) != (100, 0, vec![])).then(|| format!("{:?}", weights(status))));
    let silent = component(&bed.status(0).unwrap());
    assert!(!silent.healthy && silent.detail.contains("all is served here"), "{silent:?}");
    let total = load(&bed, 10.0, 3).total();
    assert_eq!(total.served_by(&bed.nodes[0].id), total.calls(), "{:?}", total.outcomes);

    let _again = model(&bed, (0.0, 0.5, 0.0));
    wait(&bed, |status| (weights(status) != (0, 0, vec![50, 50])).then(|| format!("{:?}", weights(status))));
    bed.stop();
}

/// Percent of a core: 50 and 10 for each call per second.
fn forecaster(bed: &Bed, node: usize) -> Service {
    let answer = |body: Bytes| async move {
        let question: Value = serde_json::from_slice(&body).unwrap_or_default();
        let rates = ["HIGH", "LOW", "MEDIUM"].map(|group| question[format!("rate_group_{group}_USAGE")].as_f64());
        let calls: f64 = rates.into_iter().flatten().sum();
        let usage = json!({"cpu_usage_node": 50.0 + 10.0 * calls, "ram_usage_node": 1e9, "power_usage_node": 2e5});
        Json(json!([usage]))
    };
    let router = Router::new().route("/node_usage", any(answer)).route("/", any(|| async { Json("ready") }));
    let place = bed.host(node).namespace.entrance().unwrap();
    Service::start(&place, FORECASTER.parse::<SocketAddr>().unwrap(), router).unwrap()
}

/// A federation with node margin, and the forecaster of each node.
fn margin_bed() -> (Bed, Vec<Service>) {
    let bed = bed(
        "nodemarginstrategy",
        &[
            ("AGENT_FORECASTER", "remote"),
            ("AGENT_FORECASTER_HOST", "127.0.0.1"),
            ("AGENT_FORECASTER_PORT", "6667"),
            ("AGENT_RATE_WINDOW", "2s"),
            // A plan holds for three periods: long enough for a busy machine.
            ("AGENT_RECALC_PERIOD", "3s"),
        ],
    );
    let forecasters = (0..3).map(|i| forecaster(&bed, i)).collect();
    bed.wait_until(SETTLE, |statuses| {
        let lacking =
            statuses.iter().find(|(_, s)| s.margin.as_ref().is_none_or(|m| m.offered <= 0.0 || m.peers.len() < 2));
        lacking.map(|(name, status)| format!("{name} offers nothing, or is offered nothing: {:?}", status.margin))
    })
    .unwrap();
    (bed, forecasters)
}

#[test]
fn an_overloaded_node_sends_what_its_peers_margins_allow() {
    let (bed, _forecasters) = margin_bed();
    // 12 calls per second are 170 percent of the threshold of 120: 7 may stay.
    let tally = load(&bed, 12.0, 14);
    let total = tally.total_from(5);
    assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, tally.troubles());
    let shares: Vec<f64> =
        bed.nodes.iter().map(|node| total.served_by(&node.id) as f64 / total.calls() as f64).collect();
    assert!((0.5..0.66).contains(&shares[0]), "{shares:?}");
    assert!(shares[1] > 0.1 && shares[2] > 0.1, "{shares:?}");
    bed.stop();
}

#[test]
fn a_plan_holds_for_a_while_without_the_forecaster_and_is_renewed_when_it_is_back() {
    let (bed, mut forecasters) = margin_bed();
    let call = Call::post(bed.url(0, "/function/figlet"), "hello").timeout(Duration::from_secs(20));
    let load = Load { call, rate: 12.0, duration: None, connections: Connections::PerCall };
    let load = load.start(&bed.from()).unwrap();
    let shares = |status: &Status| weights(status).0 < 100;
    let standing = |status: &Status| status.margin.as_ref().map_or_else(String::new, |m| m.standing.clone());
    let healthy = |status: &Status| status.planner.as_ref().is_some_and(|planner| planner.healthy);
    let shown = |status: &Status| format!("{:?}, {:?}, {:?}", weights(status), status.margin, status.planner);
    wait(&bed, |status| (!shares(status)).then(|| shown(status)));

    drop(forecasters.remove(0));
    wait(&bed, |status| (standing(status) != "last").then(|| shown(status)));
    let status = bed.status(0).unwrap();
    // Unless this machine was so slow that its time is over already.
    assert!(standing(&status) != "last" || (shares(&status) && !healthy(&status)), "{}", shown(&status));
    wait(&bed, |status| (shares(status) || healthy(status)).then(|| shown(status)));

    let _again = forecaster(&bed, 0);
    wait(&bed, |status| (!shares(status) || !healthy(status)).then(|| shown(status)));
    let tally = load.stop().unwrap();
    let total = tally.total();
    assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, tally.troubles());
    bed.stop();
}
