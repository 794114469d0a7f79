//! Every type of message, both ways, and messages that are none.

use dfaas_agent::{
    forecast::NodeType,
    p2p::{
        Count, OverlayEvent,
        message::{Load, MarginInfo, MaxValues, Message, NodeMarginInfo, ProxyAddress, RecalcInfo, StaticInfo},
    },
};
use serde_json::Value;

use crate::{
    foreign::{ForeignPeer, Setup},
    ours::Ours,
    until,
};

/// Each type as a value and as the original writes it.
fn every_type(peer: &str) -> [(Message, String); 6] {
    let proxy = ProxyAddress { host: "10.0.2.38".parse().unwrap(), port: 30080 };
    let functions = || vec!["figlet".parse().unwrap(), "shasum".parse().unwrap()];
    let limits = [("figlet".parse().unwrap(), 35.0), ("shasum".parse().unwrap(), 0.0)];
    let place = r#""HAProxyHost":"10.0.2.38","HAProxyPort":30080"#;
    let max_values = MaxValues { cpu_percent: 120.0, power_microwatts: 2_100_000.0, ram_bytes: 5_500_000_000.0 };
    let load = Load { high: 0.0, low: 12.0, medium: 3.0 };
    [
        (
            Message::Recalc(RecalcInfo { proxy: proxy.clone(), limits: [(peer.parse().unwrap(), limits.into())].into() }),
            format!(r#"{{"MsgType":"nodeinfoRecalc",{place},"FuncLimits":{{"{peer}":{{"figlet":35,"shasum":0}}}}}}"#),
        ),
        (
            Message::NodeMargin(NodeMarginInfo {
                proxy: proxy.clone(),
                node_type: NodeType::Mid,
                max_values,
                functions: functions(),
            }),
            format!(
                r#"{{"MsgType":"nodeinfoNMS",{place},"NodeType":1,"MaxValues":{{"cpu_usage_node":120,"power_usage_node":2100000,"ram_usage_node":5500000000}},"Functions":["figlet","shasum"]}}"#
            ),
        ),
        (
            Message::Margin(MarginInfo { margin: 27.5, load }),
            r#"{"MsgType":"nodemargininfoNMS","Margin":27.5,"Load":{"RateHighUsage":0,"RateLowUsage":12,"RateMediumUsage":3}}"#.to_owned(),
        ),
        (
            Message::Static(StaticInfo { proxy: proxy.clone(), functions: functions() }),
            format!(r#"{{"MsgType":"nodeinfoStatic",{place},"Functions":["figlet","shasum"]}}"#),
        ),
        (
            Message::Static(StaticInfo { proxy, functions: vec![] }),
            format!(r#"{{"MsgType":"nodeinfoStatic",{place},"Functions":null}}"#),
        ),
        (Message::Text("a < b".into()), r#"{"MsgType":"text","Text":"a \u003c b"}"#.to_owned()),
    ]
}

fn acquainted() -> (Ours, ForeignPeer) {
    let mut ours = Ours::start(&[]);
    let mut foreign = ForeignPeer::here(Setup::default());
    foreign.dial(&ours.address);
    // Until each knows that the other one listens.
    until("the foreign peer hears us", || {
        ours.handle.publish(&Message::Text("probe".into())).unwrap();
        foreign.has_heard(&ours.id)
    });
    foreign.publish(br#"{"MsgType":"text","Text":"probe"}"#);
    assert_eq!(heard(&mut ours, &foreign), Message::Text("probe".into()));
    (ours, foreign)
}

/// The next broadcast of the foreign peer.
fn heard(ours: &mut Ours, foreign: &ForeignPeer) -> Message {
    ours.wait("a broadcast", |event| match event {
        OverlayEvent::Broadcast { from, message } if from == foreign.id => Some(message),
        OverlayEvent::BadMessage { reason, .. } => panic!("{reason}"),
        _ => None,
    })
}

#[test]
fn a_foreign_peer_reads_every_type_of_message_field_by_field() {
    let (ours, foreign) = acquainted();
    for (message, text) in every_type(foreign.id.as_str()) {
        let mark = foreign.mark();
        ours.handle.publish(&message).unwrap();
        let got = foreign.wait_message(&ours.id, mark, |line| line["json"]["MsgType"] == message.kind());
        assert_eq!(got["json"], serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(got["text"], text.as_str());
        assert_eq!((&got["topic"], &got["signatureBytes"]), (&"/dfaasagent/1.0.0".into(), &64.into()));
    }
}

#[test]
fn every_type_of_message_of_a_foreign_peer_is_understood() {
    let (mut ours, mut foreign) = acquainted();
    let id = ours.id.clone();
    for (message, text) in every_type(id.as_str()) {
        foreign.publish(text.as_bytes());
        assert_eq!(heard(&mut ours, &foreign), message);
    }
    // As Go would read them: names in any case, null for a zero, fields of a later version.
    foreign.publish(br#"{"msgtype":"text","TEXT":null,"Later":[1,{}]}"#);
    assert_eq!(heard(&mut ours, &foreign), Message::Text(String::new()));
    foreign.publish(br#"{"MsgType":"nodeinfoLater","Field":{}}"#);
    assert_eq!(heard(&mut ours, &foreign), Message::Unknown("nodeinfoLater".into()));
    let counters = ours.counters();
    assert_eq!((counters.get(Count::BroadcastReceived), counters.get(Count::BroadcastUnknown)), (8, 1));
}

/// Bad messages of one author within a minute, before it is listened to no more.
const TOLERATED: usize = 5;

#[test]
fn messages_that_would_end_an_original_agent_are_counted_by_their_fault() {
    let place = r#""HAProxyHost":"10.0.0.1","HAProxyPort":30080"#;
    let node = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";
    let numbers = |text: &str| format!(r#"{{"MsgType":"nodeinfoRecalc",{place},"FuncLimits":{{"{node}":{text}}}}}"#);
    let bad: Vec<(Count, Vec<u8>)> = vec![
        (Count::BadMalformed, b"no json".to_vec()),
        (Count::BadMalformed, b"[]".to_vec()),
        (Count::BadMalformed, vec![0xff, 0, 0xfe]),
        (Count::BadMalformed, b"{".repeat(100_000)),
        (Count::BadMalformed, br#"{"MsgType":7}"#.to_vec()),
        (Count::BadMalformed, br#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"a","HAProxyPort":"30080"}"#.to_vec()),
        (
            Count::BadMalformed,
            br#"{"MsgType":"nodeinfoStatic","HAProxyHost":"a","HAProxyPort":1,"Functions":{}}"#.to_vec(),
        ),
        (Count::BadMalformed, br#"{"MsgType":"nodemargininfoNMS","Margin":"much"}"#.to_vec()),
        (Count::BadMalformed, numbers(r#"{"figlet":"35"}"#).into_bytes()),
        (Count::BadNumber, numbers(r#"{"figlet":-1}"#).into_bytes()),
        (Count::BadHost, br#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"a\n  bind *:1","HAProxyPort":1}"#.to_vec()),
        (Count::BadPort, br#"{"MsgType":"nodeinfoStatic","HAProxyHost":"a","HAProxyPort":65536}"#.to_vec()),
        (Count::BadNodeType, format!(r#"{{"MsgType":"nodeinfoNMS",{place},"NodeType":3}}"#).into_bytes()),
    ];
    for some in bad.chunks(TOLERATED) {
        assert_counted_by_their_fault(some);
    }
}

/// The author is still listened to afterwards.
fn assert_counted_by_their_fault(bad: &[(Count, Vec<u8>)]) {
    let (mut ours, mut foreign) = acquainted();
    let counters = ours.counters();
    for (count, bytes) in bad {
        let before = counters.get(*count);
        foreign.publish(bytes);
        let from = ours.wait("a bad message", |event| match event {
            OverlayEvent::BadMessage { from, .. } => Some(from),
            OverlayEvent::Broadcast { message, .. } => panic!("{message:?} was taken"),
            _ => None,
        });
        let found = (from, counters.get(*count));
        assert_eq!(found, (foreign.id.clone(), before + 1), "{}", String::from_utf8_lossy(bytes));
    }
    foreign.publish(br#"{"MsgType":"text","Text":"still here"}"#);
    assert_eq!(heard(&mut ours, &foreign), Message::Text("still here".into()));
    assert!(ours.handle.connected().contains_key(&foreign.id));
}
