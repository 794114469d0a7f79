//! Whole nodes of ours with a foreign one among them: what it broadcasts moves calls.

use std::collections::BTreeSet;

use dfaas_agent::kernel::mode::Mode;
use dfaas_common::route::{SLOT_PROXY, SLOT_REFUSE};
use dfaas_tests::{
    client::{Call, NODE_HEADER},
    federation::Options,
};
use serde_json::{Value, json};

use crate::{
    bed::Bed,
    foreign::{ForeignPeer, Setup},
    stand_in::{ANSWER, PORT, StandIn},
    until,
};

/// `nodeinfoRecalc` as an original agent on the first guest sends it to the first node.
fn recalc(bed: &Bed, limits: &Value) -> Vec<u8> {
    let host = bed.guest(0).address;
    let own = bed.nodes[0].id.as_str();
    json!({ "MsgType": "nodeinfoRecalc", "HAProxyHost": host, "HAProxyPort": PORT, "FuncLimits": { own: limits } })
        .to_string()
        .into_bytes()
}

/// Which targets a function's table in the kernel names.
fn targets(bed: &Bed, function: &str) -> BTreeSet<u8> {
    bed.route(0, function).slots.into_iter().collect()
}

/// The node's status tells that somebody grants it calls of `figlet`: soon after its tables do.
fn is_granted_figlet(bed: &Bed) -> bool {
    bed.state(0).functions.get(&"figlet".parse().unwrap()).is_some_and(|figlet| !figlet.limits_out.is_empty())
}

/// A node that serves nothing of `figlet` and something of `shasum`, and a foreign peer connected to it.
fn connected(change: impl FnOnce(&mut Options)) -> (Bed, ForeignPeer) {
    let bed = Bed::new(|options| {
        options.rate_limits_of.insert("figlet".to_owned(), vec![0]);
        options.rate_limits_of.insert("shasum".to_owned(), vec![40]);
        change(options);
    });
    let mut foreign = bed.foreign(0, Setup::default());
    foreign.dial(&bed.overlay_address(0));
    until("the node sees the foreign peer", || bed.seen(0, &foreign).is_some());
    (bed, foreign)
}

#[test]
fn a_foreign_nodes_broadcast_changes_the_kernel_table_and_calls_follow_it() {
    let (bed, mut foreign) = connected(|_| {});
    let stand_in = StandIn::start(&bed.guest(0).namespace, foreign.id.clone());
    let seen = bed.seen(0, &foreign).unwrap();
    assert_eq!((seen.state.as_str(), seen.direct), ("known", false));
    assert_eq!(bed.state(0).kernel.mode, Mode::Handoff);
    assert_eq!(targets(&bed, "figlet"), [SLOT_REFUSE].into());
    let call = || Call::post(bed.url(0, "/function/figlet"), "hello").send(&bed.client().unwrap()).unwrap();
    assert_eq!(call().status, 429, "nobody may serve it");

    foreign.publish(&recalc(&bed, &json!({ "figlet": 35, "shasum": 0 })));
    until("the kernel's table names HAProxy, which knows the foreign node", || {
        targets(&bed, "figlet") == [SLOT_PROXY].into()
    });
    until("the status tells it", || is_granted_figlet(&bed));
    let status = bed.state(0);
    let figlet = &status.functions[&"figlet".parse().unwrap()];
    assert_eq!(figlet.limits_out, [(foreign.id.clone(), 35.0)].into());
    assert_eq!(figlet.weights, [(foreign.id.clone(), 100)].into());
    let seen = bed.seen(0, &foreign).unwrap();
    assert_eq!((seen.state.as_str(), seen.host), ("up", bed.guest(0).address.to_string()));
    until("HAProxy forwards", || call().status == 200);
    let before = stand_in.calls().len();
    let answer = call();
    assert_eq!((answer.status, answer.text(), answer.node()), (200, ANSWER.to_owned(), Some(foreign.id.clone())));
    let calls = stand_in.calls();
    assert_eq!((calls.len(), calls[before].uri.path()), (before + 1, "/function/figlet"));
    assert_eq!(calls[before].headers[NODE_HEADER], bed.nodes[0].id.as_str());
    assert!(calls[before].headers["x-forwarded-for"].to_str().unwrap().contains(&bed.client_address().to_string()));

    foreign.publish(&recalc(&bed, &json!({ "shasum": 0 })));
    until("what is no longer granted is no longer used", || targets(&bed, "figlet") == [SLOT_REFUSE].into());
    assert_eq!(call().status, 429);
    foreign.stop();
    drop(stand_in);
    bed.stop();
}

#[test]
fn a_foreign_node_reads_what_it_is_granted_and_may_use_it() {
    let (bed, mut foreign) = connected(|_| {});
    foreign.publish(&recalc(&bed, &json!({ "figlet": 0, "shasum": 0 })));
    let (node, own) = (&bed.nodes[0], foreign.id.as_str());
    let granted = |line: &Value| line["json"]["FuncLimits"][own]["shasum"].as_f64().is_some_and(|limit| limit > 0.0);
    let message = foreign.wait_message(&node.id, 0, granted);
    // All that is deployed is listed; what the foreign node did not name it cannot need, and figlet there is none to give.
    let limits = json!({ "env": 0, "figlet": 0, "ocr": 0, "shasum": 40 });
    let expected = json!({
        "MsgType": "nodeinfoRecalc", "HAProxyHost": node.address.to_string(), "HAProxyPort": PORT,
        "FuncLimits": { own: limits },
    });
    assert_eq!(message["json"], expected);

    let guest = bed.guest(0).namespace.entrance().unwrap();
    let url = |function: &str| format!("http://{}:{PORT}/function/{function}", node.address);
    let call =
        |function: &str, id: &str| Call::post(url(function), "some text").header(NODE_HEADER, id).send(&guest).unwrap();
    let answer = call("shasum", own);
    assert_eq!((answer.status, answer.node()), (200, Some(node.id.clone())));
    assert_eq!(call("figlet", own).status, 429, "nothing of it was granted");
    assert_eq!(call("shasum", node.id.as_str()).status, 403, "whoever it is, it is not the node itself");
    foreign.stop();
    bed.stop();
}

#[test]
fn hostile_messages_of_a_foreign_node_and_those_that_say_nothing_change_no_table() {
    let (bed, mut foreign) = connected(|_| {});
    foreign.publish(&recalc(&bed, &json!({ "figlet": 35 })));
    until("the broadcast arrives", || targets(&bed, "figlet") == [SLOT_PROXY].into());
    until("the status tells it", || is_granted_figlet(&bed));
    let before = (bed.state(0).decision, bed.route(0, "figlet").slots);
    let host = bed.guest(0).address;
    let own = bed.nodes[0].id.as_str();
    let place = format!(r#""HAProxyHost":"{host}","HAProxyPort":{PORT}"#);
    // Five of them are bad: after six within a minute their author is listened to no more.
    for text in [
        r#"{"MsgType":"nodemargininfoNMS","Margin":27.5,"Load":{"RateLowUsage":12}}"#.to_owned(),
        r#"{"MsgType":"text","Text":"hello"}"#.to_owned(),
        r#"{"MsgType":"nodeinfoLater","Functions":{"figlet":1}}"#.to_owned(),
        r#"{"MsgType":"nodeinfoRecalc"}"#.to_owned(),
        format!(r#"{{"MsgType":"nodeinfoRecalc",{place},"FuncLimits":{{"{own}":{{"figlet":"1"}}}}}}"#),
        format!(r#"{{"MsgType":"nodeinfoRecalc","HAProxyHost":"a\nb","HAProxyPort":1,"FuncLimits":{{"{own}":{{}}}}}}"#),
        format!(r#"{{"MsgType":"nodeinfoNMS",{place},"NodeType":9,"Functions":["figlet"]}}"#),
        "[".repeat(100_000),
    ] {
        foreign.publish(text.as_bytes());
    }
    // Messages of one author arrive in their order: when this one has, the others have.
    foreign.publish(&recalc(&bed, &json!({ "figlet": 35, "env": 7 })));
    until("the last broadcast arrives", || targets(&bed, "env").contains(&SLOT_PROXY));
    until("the status tells it", || bed.state(0).decision != before.0);
    let status = bed.state(0);
    assert_eq!(
        (status.decision, bed.route(0, "figlet").slots),
        (before.0 + 1, before.1),
        "one decision more: the last"
    );
    assert_eq!(status.functions[&"figlet".parse().unwrap()].limits_out, [(foreign.id.clone(), 35.0)].into());
    foreign.stop();
    bed.stop();
}
