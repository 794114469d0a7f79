use super::*;
use crate::p2p::message::ProxyAddress;

fn state() -> NodeState {
    NodeState {
        version: VERSION,
        sequence: 7,
        started_ms: 1_700_000_000_000,
        mode: Mode::Handoff,
        service: Some("10.0.2.38:80".parse().unwrap()),
        tunnel: Some("fd00::1".parse().unwrap()),
        proxy: Some(ProxyAddress { host: "10.0.2.38".parse().unwrap(), port: 30080 }),
        tunnel_key: Some(TunnelKey { epoch: 3, key: [0x0f; 16], token: 0xabc }),
        functions: BTreeMap::from([(
            "figlet".parse().unwrap(),
            FunctionState { limit: 12.5, rate: 0.0, max_rate: Some(100.0) },
        )]),
        margin: None,
        draining: false,
        leaving: true,
    }
}

const TEXT: &str = r#"{"version":1,"sequence":7,"started_ms":1700000000000,"mode":"handoff","service":"10.0.2.38:80","tunnel":"fd00::1","proxy":{"host":"10.0.2.38","port":30080},"tunnel_key":{"epoch":3,"key":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","token":"0000000000000abc"},"functions":{"figlet":{"limit":12.5,"rate":0.0,"max_rate":100.0}},"draining":false,"leaving":true}"#;

#[test]
fn a_state_is_written_and_read_in_full() {
    assert_eq!(String::from_utf8(state().encode().unwrap()).unwrap(), TEXT);
    assert_eq!(NodeState::decode(TEXT.as_bytes()).unwrap(), state());
}

#[test]
fn unknown_fields_are_skipped_and_optional_ones_may_be_absent() {
    let text = r#"{"new":{"a":[1]},"version":1,"sequence":1,"started_ms":2,"mode":"off","functions":{"f":{"x":1}}}"#;
    let state = NodeState::decode(text.as_bytes()).unwrap();
    assert_eq!((state.mode, state.service, state.tunnel, state.tunnel_key), (Mode::Off, None, None, None));
    assert_eq!(state.functions[&"f".parse().unwrap()], FunctionState::default());
}

#[test]
fn rates_that_are_not_numbers_or_negative_are_refused_on_both_sides() {
    let name: FunctionName = "figlet".parse().unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
        for function in [
            FunctionState { limit: bad, ..FunctionState::default() },
            FunctionState { rate: bad, ..FunctionState::default() },
            FunctionState { max_rate: Some(bad), ..FunctionState::default() },
        ] {
            let mut state = state();
            state.functions.insert(name.clone(), function);
            assert!(matches!(state.encode(), Err(StateError::Rate(..))), "{function:?}");
        }
    }
    for bad in ["-0.5", "1e999", "\"NaN\"", "null"] {
        assert!(NodeState::decode(TEXT.replace("12.5", bad).as_bytes()).is_err(), "{bad}");
    }
    let error = NodeState::decode(TEXT.replace("12.5", "-0.5").as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "rate -0.5 of function figlet: expected a finite number, not negative");
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let changed = |from: &str, to: &str| {
        assert!(TEXT.contains(from), "{from}");
        NodeState::decode(TEXT.replace(from, to).as_bytes())
    };
    assert_eq!(changed("\"version\":1", "\"version\":2"), Err(StateError::Version(2)));
    assert_eq!(changed("fd00::1", "ff02::1"), Err(StateError::Address("ff02::1".parse().unwrap())));
    assert_eq!(changed("10.0.2.38", "0.0.0.0"), Err(StateError::Address("0.0.0.0".parse().unwrap())));
    for (from, to) in [
        ("handoff", "other"),
        ("figlet", "fig let"),
        ("0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", "0f0f"),
        ("0000000000000abc", "+000000000000abc"),
        ("\"epoch\":3", "\"epoch\":65536"),
        ("\"sequence\":7", "\"sequence\":-7"),
        ("\"sequence\":7,", ""),
    ] {
        assert!(matches!(changed(from, to), Err(StateError::Malformed(_))), "{from}");
    }
    let functions: Vec<String> = (0..=MAX_FUNCTIONS).map(|i| format!(r#""f{i}":{{}}"#)).collect();
    assert_eq!(
        changed(r#""figlet":{"limit":12.5,"rate":0.0,"max_rate":100.0}"#, &functions.join(",")),
        Err(StateError::TooManyFunctions(MAX_FUNCTIONS + 1))
    );
    assert_eq!(NodeState::decode(&vec![b' '; MAX_FRAME_BYTES + 1]), Err(StateError::TooLong(MAX_FRAME_BYTES + 1)));
    assert!(NodeState::decode(b"[[[").is_err() && NodeState::decode(b"").is_err());
}

#[test]
fn the_text_for_logs_shows_no_secret() {
    let text = format!("{:?}", state());
    assert!(text.contains("epoch: 3"), "{text}");
    let secrets = ["0f", "15, 15", "abc", "2748"];
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    let error = NodeState::decode(TEXT.replace("0f0f0f0f0f", "5ec2e7").as_bytes()).unwrap_err();
    assert!(!error.to_string().contains("5ec2e7"), "{error}");
}

#[test]
fn an_acknowledgement_is_small_and_bounded() {
    let ack = Ack { sequence: 7, ..Ack::default() };
    assert_eq!(ack.encode(), br#"{"sequence":7}"#);
    assert_eq!(Ack::decode(br#"{"sequence":7,"new":1}"#), Some(ack));
    let peer =
        KnownPeer { node: "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf".parse().unwrap(), addresses: vec![] };
    let mut ack = Ack { peers: vec![peer.clone(); MAX_KNOWN_PEERS], ..Ack::default() };
    assert_eq!(Ack::decode(&ack.encode()), Some(ack.clone()));
    ack.peers.push(peer);
    assert_eq!(Ack::decode(&ack.encode()), None);
    assert_eq!(Ack::decode(br#"{"peers":[{"node":"no node","addresses":[]}]}"#), None);
}
