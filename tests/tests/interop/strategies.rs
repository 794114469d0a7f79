//! The messages of the other strategies, between a whole node of ours and a foreign one.

use dfaas_common::route::{SLOT_LOCAL, SLOT_PROXY};
use serde_json::{Value, json};

use crate::{
    bed::Bed,
    foreign::{ForeignPeer, Setup},
    stand_in::PORT,
    until,
};

fn bed(strategy: &str) -> (Bed, ForeignPeer) {
    let bed = Bed::new(|options| strategy.clone_into(&mut options.strategy));
    let mut foreign = bed.foreign(0, Setup::default());
    foreign.dial(&bed.overlay_address(0));
    until("the node sees the foreign peer", || bed.seen(0, &foreign).is_some());
    (bed, foreign)
}

/// The node's next message of a type, and how much the foreign peer had said before it.
fn heard(bed: &Bed, foreign: &ForeignPeer, kind: &str) -> Value {
    foreign.wait_message(&bed.nodes[0].id, 0, |line| line["json"]["MsgType"] == kind)["json"].clone()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn a_foreign_node_of_the_static_strategy_gets_its_share() {
    let (bed, mut foreign) = bed("staticstrategy");
    let own = json!({
        "MsgType": "nodeinfoStatic", "HAProxyHost": bed.nodes[0].address, "HAProxyPort": PORT,
        "Functions": ["env", "figlet", "ocr", "shasum"],
    });
    assert_eq!(heard(&bed, &foreign, "nodeinfoStatic"), own);
    let message = json!({
        "MsgType": "nodeinfoStatic", "HAProxyHost": bed.guest(0).address, "HAProxyPort": PORT, "Functions": ["figlet"],
    });
    foreign.publish(message.to_string().as_bytes());
    let count = |target| bed.route(0, "figlet").slots.iter().filter(|slot| **slot == target).count();
    // 40 % of 256, which HAProxy steers because the foreign node has no kernel path.
    until("the table of figlet is shared", || count(SLOT_PROXY) == 102 && count(SLOT_LOCAL) == 154);
    assert_eq!(bed.route(0, "shasum").slots, [SLOT_LOCAL; 256], "the foreign node does not run it");
    foreign.stop();
    bed.stop();
}

#[test]
fn a_foreign_node_of_the_node_margin_strategy_is_told_what_the_node_is_before_its_margin() {
    let (bed, mut foreign) = bed("nodemarginstrategy");
    let info = heard(&bed, &foreign, "nodeinfoNMS");
    assert_eq!(keys(&info), ["Functions", "HAProxyHost", "HAProxyPort", "MaxValues", "MsgType", "NodeType"]);
    assert_eq!(info["HAProxyHost"], bed.nodes[0].address.to_string());
    assert_eq!((&info["HAProxyPort"], &info["Functions"]), (&PORT.into(), &json!(["env", "figlet", "ocr", "shasum"])));
    assert!((0..=2).contains(&info["NodeType"].as_i64().unwrap()), "{info}");
    assert_eq!(keys(&info["MaxValues"]), ["cpu_usage_node", "power_usage_node", "ram_usage_node"]);
    let margin = heard(&bed, &foreign, "nodemargininfoNMS");
    assert_eq!(keys(&margin), ["Load", "Margin", "MsgType"]);
    assert_eq!(keys(&margin["Load"]), ["RateHighUsage", "RateLowUsage", "RateMediumUsage"]);
    assert!(margin["Margin"].is_number(), "{margin}");
    // A margin as the first word would end an original agent.
    let first = foreign.wait_message(&bed.nodes[0].id, 0, |_| true);
    assert_eq!(first["json"]["MsgType"], "nodeinfoNMS");

    let place = json!({ "HAProxyHost": bed.guest(0).address, "HAProxyPort": PORT });
    let mut message = json!({
        "MsgType": "nodeinfoNMS", "NodeType": 1, "Functions": ["figlet"],
        "MaxValues": { "cpu_usage_node": 120, "power_usage_node": 2_100_000, "ram_usage_node": 5_500_000_000_u64 },
    });
    message.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
    foreign.publish(message.to_string().as_bytes());
    foreign.publish(br#"{"MsgType":"nodemargininfoNMS","Margin":27.5,"Load":{"RateLowUsage":12}}"#);
    until("the foreign node is up", || bed.seen(0, &foreign).is_some_and(|seen| seen.state == "up"));
    foreign.stop();
    bed.stop();
}
