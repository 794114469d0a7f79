use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

const A: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";
const B: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

fn proxy() -> ProxyAddress {
    ProxyAddress { host: "10.0.2.38".parse().unwrap(), port: 30080 }
}

fn names(names: &[&str]) -> Vec<FunctionName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Each message type with the text a Go agent would send for it.
fn golden() -> Vec<(Message, String)> {
    let limits = |rows: &[(&str, f64)]| rows.iter().map(|(name, limit)| (name.parse().unwrap(), *limit)).collect();
    let recalc = |limits| Message::Recalc(RecalcInfo { proxy: proxy(), limits });
    let head = r#""HAProxyHost":"10.0.2.38","HAProxyPort":30080"#;
    vec![
        (
            recalc(BTreeMap::from([
                (B.parse().unwrap(), limits(&[("figlet", 35.0)])),
                (A.parse().unwrap(), limits(&[("shasum", 0.0), ("figlet", 35.0)])),
            ])),
            format!(
                r#"{{"MsgType":"nodeinfoRecalc",{head},"FuncLimits":{{"{A}":{{"figlet":35,"shasum":0}},"{B}":{{"figlet":35}}}}}}"#
            ),
        ),
        (recalc(BTreeMap::new()), format!(r#"{{"MsgType":"nodeinfoRecalc",{head},"FuncLimits":{{}}}}"#)),
        (
            Message::NodeMargin(NodeMarginInfo {
                proxy: proxy(),
                node_type: NodeType::Mid,
                max_values: MaxValues { cpu_percent: 120.0, ram_bytes: 5.5e9, power_microwatts: 2.1e6 },
                functions: names(&["figlet", "shasum"]),
            }),
            format!(
                r#"{{"MsgType":"nodeinfoNMS",{head},"NodeType":1,"MaxValues":{{"cpu_usage_node":120,"power_usage_node":2100000,"ram_usage_node":5500000000}},"Functions":["figlet","shasum"]}}"#
            ),
        ),
        (
            Message::Margin(MarginInfo { margin: 27.5, load: Load { high: 0.0, low: 12.0, medium: 3.0 } }),
            r#"{"MsgType":"nodemargininfoNMS","Margin":27.5,"Load":{"RateHighUsage":0,"RateLowUsage":12,"RateMediumUsage":3}}"#.into(),
        ),
        (
            Message::Static(StaticInfo { proxy: proxy(), functions: names(&["figlet"]) }),
            format!(r#"{{"MsgType":"nodeinfoStatic",{head},"Functions":["figlet"]}}"#),
        ),
        (
            Message::Static(StaticInfo { proxy: proxy(), functions: vec![] }),
            format!(r#"{{"MsgType":"nodeinfoStatic",{head},"Functions":null}}"#),
        ),
        (
            Message::Text("a<b>&\"c\"\n\u{2028}é".into()),
            r#"{"MsgType":"text","Text":"a\u003cb\u003e\u0026\"c\"\n\u2028é"}"#.into(),
        ),
    ]
}

#[test]
fn every_type_is_written_and_read_as_go_does() {
    for (message, text) in golden() {
        assert_eq!(String::from_utf8(message.encode().unwrap()).unwrap(), text);
        assert_eq!(Message::decode(text.as_bytes()), Ok(Decoded { message, dropped_names: 0 }));
    }
}

#[test]
fn numbers_are_written_in_the_shortest_form() {
    for (number, text) in [
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (2.5e-7, "2.5e-7"),
        (1e-6, "0.000001"),
        (-0.0, "-0"),
        (-27.25, "-27.25"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        let message = Message::Margin(MarginInfo { margin: number, load: Load::default() });
        let encoded = String::from_utf8(message.encode().unwrap()).unwrap();
        assert!(encoded.contains(&format!(r#""Margin":{text},"#)), "{encoded}");
        assert_eq!(Message::decode(encoded.as_bytes()).unwrap().message, message);
    }
}

#[test]
fn what_go_cannot_encode_or_means_nothing_is_not_sent() {
    let margin = |margin, high| Message::Margin(MarginInfo { margin, load: Load { high, ..Load::default() } }).encode();
    assert!(matches!(margin(f64::NAN, 0.0), Err(EncodeError::BadNumber(Number::Margin, _))));
    assert_eq!(margin(0.0, f64::INFINITY), Err(EncodeError::BadNumber(Number::Load, f64::INFINITY)));
    assert_eq!(margin(0.0, -1.0), Err(EncodeError::BadNumber(Number::Load, -1.0)));
    assert!(margin(-1.0, 0.0).is_ok());
    assert!(matches!(Message::Text("x".repeat(MAX_TEXT_BYTES)).encode(), Err(EncodeError::TooLong(_))));
    assert_eq!(Message::Unknown("x".into()).encode(), Err(EncodeError::UnknownKind("x".into())));
}

#[test]
fn names_in_any_case_null_missing_and_unknown_fields_are_read_as_go_does() {
    let text = format!(
        r#" {{"new":[{{"a":[1,null]}}],"msgTYPE":"nodeinfoRecalc","haproxyhost":"::1","HAPROXYPORT":1,
        "FuncLimits":{{"{A}":null,"{B}":{{"f":null,"F":1e2}}}},"HAProxyHost":null}} "#
    );
    let decoded = Message::decode(text.as_bytes()).unwrap();
    let Message::Recalc(info) = decoded.message else { panic!("{decoded:?}") };
    assert_eq!(info.proxy, ProxyAddress { host: "::1".parse().unwrap(), port: 1 });
    assert_eq!(info.limits[&A.parse().unwrap()], BTreeMap::new());
    let limits = &info.limits[&B.parse().unwrap()];
    assert_eq!(
        limits.iter().map(|(name, limit)| (name.as_str(), *limit)).collect::<Vec<_>>(),
        [("F", 100.0), ("f", 0.0)]
    );

    let empty = Message::decode(br#"{"MsgType":"nodemargininfoNMS","Load":{"ratelowusage":1}}"#).unwrap();
    let load = Load { low: 1.0, ..Load::default() };
    assert_eq!(empty.message, Message::Margin(MarginInfo { margin: 0.0, load }));
    assert_eq!(Message::decode(b"{}").unwrap().message, Message::Unknown(String::new()));
    let long = format!(r#"{{"MsgType":"{}"}}"#, "é".repeat(1000));
    assert_eq!(Message::decode(long.as_bytes()).unwrap().message, Message::Unknown("é".repeat(64)));
}

#[test]
fn invalid_names_are_left_out_and_counted() {
    let text = format!(
        r#"{{"MsgType":"nodeinfoRecalc","HAProxyHost":"h","HAProxyPort":1,
        "FuncLimits":{{"{A}":{{"ok":1,"a b":2,"x\n":3,"":4}},"not a node":{{"ok":1}}}}}}"#
    );
    let decoded = Message::decode(text.as_bytes()).unwrap();
    assert_eq!(decoded.dropped_names, 4);
    let Message::Recalc(info) = decoded.message else { panic!() };
    assert_eq!(info.limits, BTreeMap::from([(A.parse().unwrap(), BTreeMap::from([("ok".parse().unwrap(), 1.0)]))]));

    let text = r#"{"MsgType":"nodeinfoStatic","HAProxyHost":"h","HAProxyPort":1,"Functions":["a",null,"b/c"]}"#;
    let decoded = Message::decode(text.as_bytes()).unwrap();
    assert_eq!(decoded.dropped_names, 2);
    assert_eq!(
        decoded.message,
        Message::Static(StaticInfo {
            proxy: ProxyAddress { host: "h".parse().unwrap(), port: 1 },
            functions: names(&["a"]),
        })
    );
}

#[test]
fn malformed_messages_are_errors_that_say_why() {
    let recalc = |rest: &str| Message::decode(format!(r#"{{"MsgType":"nodeinfoRecalc",{rest}}}"#).as_bytes());
    let good = r#""HAProxyHost":"h","HAProxyPort":1"#;
    assert!(recalc(good).is_ok());
    for (rest, label) in [
        (r#""HAProxyPort":1"#, "host"),
        (r#""HAProxyHost":"h\n  bind :1","HAProxyPort":1"#, "host"),
        (r#""HAProxyHost":"h""#, "port"),
        (r#""HAProxyHost":"h","HAProxyPort":65536"#, "port"),
        (r#""HAProxyHost":"h","HAProxyPort":-1"#, "malformed"),
        (r#""HAProxyHost":"h","HAProxyPort":30080.0"#, "malformed"),
        (r#""HAProxyHost":"h","HAProxyPort":"1""#, "malformed"),
        (&format!(r#"{good},"FuncLimits":[]"#), "malformed"),
        (&format!(r#"{good},"FuncLimits":{{"{A}":{{"f":"1"}}}}"#), "malformed"),
        (&format!(r#"{good},"FuncLimits":{{"{A}":{{"f":1e999}}}}"#), "malformed"),
        (&format!(r#"{good},"FuncLimits":{{"{A}":{{"f":-1}}}}"#), "number"),
    ] {
        assert_eq!(recalc(rest).unwrap_err().label(), label, "{rest}");
    }
    for text in ["", "null", "[]", "1", "{", r#"{"MsgType":1}"#, "{}x", r#"{"MsgType":"nodeinfoNMS","NodeType":1.5}"#] {
        assert_eq!(Message::decode(text.as_bytes()).unwrap_err().label(), "malformed", "{text}");
    }
    assert_eq!(Message::decode(b"{\"MsgType\":\"\xff\"}").unwrap_err().label(), "malformed");
    let error = Message::decode(br#"{"MsgType":"nodeinfoNMS","NodeType":7}"#).unwrap_err();
    assert_eq!(error.to_string(), "node type 7, expected 0 to 2");
    let hostile = format!(r#"{{"MsgType":"text","Text":{{"{}":"#, "\\n".repeat(5000));
    assert!(Message::decode(hostile.as_bytes()).unwrap_err().to_string().len() < 400);
}

#[test]
fn size_count_and_depth_are_bounded() {
    let label = |text: &str| Message::decode(text.as_bytes()).unwrap_err().label();
    assert_eq!(label(&" ".repeat(MAX_MESSAGE_BYTES + 1)), "too_long");
    assert_eq!(label(&"[".repeat(MAX_MESSAGE_BYTES)), "malformed");
    assert_eq!(label(&format!(r#"{{"x":{}"#, "[".repeat(100_000))), "malformed");
    let functions = |count| (0..count).map(|i| format!(r#""f{i}":1"#)).collect::<Vec<_>>().join(",");
    let head = r#"{"MsgType":"nodeinfoRecalc","HAProxyHost":"h","HAProxyPort":1,"FuncLimits":{"#;
    let peers = |count| (0..count).map(|i| format!(r#""{A}{i}":{{}}"#)).collect::<Vec<_>>().join(",");
    assert!(Message::decode(format!(r#"{head}"{A}":{{{}}}}}}}"#, functions(1024)).as_bytes()).is_ok());
    assert_eq!(label(&format!(r#"{head}"{A}":{{{}}}}}}}"#, functions(1025))), "too_many");
    assert!(Message::decode(format!("{head}{}}}}}", peers(1024)).as_bytes()).is_ok());
    assert_eq!(label(&format!("{head}{}}}}}", peers(1025))), "too_many");
    let list = vec!["\"f\""; 1025].join(",");
    let text = format!(r#"{{"MsgType":"nodeinfoStatic","HAProxyHost":"h","HAProxyPort":1,"Functions":[{list}]}}"#);
    assert_eq!(label(&text), "too_many");
}

#[test]
fn mutated_messages_never_panic_and_what_is_accepted_can_be_sent_again() {
    let mut random = StdRng::seed_from_u64(7);
    let golden: Vec<Vec<u8>> = golden().into_iter().map(|(_, text)| text.into_bytes()).collect();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = golden[random.random_range(0..golden.len())].clone();
        for _ in 0..random.random_range(1..4) {
            if bytes.is_empty() {
                break;
            }
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, *b"\"{}[]:,0-e\\".get(random.random_range(0..11)).unwrap()),
                _ => bytes.truncate(at.max(1)),
            }
        }
        match Message::decode(&bytes) {
            Ok(Decoded { message: Message::Unknown(_), .. }) => accepted += 1,
            Ok(Decoded { message, .. }) => {
                accepted += 1;
                let again = Message::decode(&message.encode().unwrap()).unwrap();
                assert_eq!(again, Decoded { message, dropped_names: 0 });
            }
            Err(_) => refused += 1,
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}
