use std::{collections::BTreeMap, time::Duration};

use dfaas_common::verdict::Verdict;

use super::*;
use crate::{
    mode::Mode,
    status::{Component, FunctionStatus, KernelStatus, PeerStatus, PlaneStatus, Planes},
    strategy::test_names::{function, node},
};

fn component(kind: &str) -> Component {
    Component { kind: kind.into(), healthy: true, detail: String::new() }
}

fn busy() -> FunctionStatus {
    let count = |offered, local| Outcomes { offered, local, forwarded: 3, rejected: 2, received: 1 };
    FunctionStatus {
        deployed: true,
        limit: Some(10.0),
        by_kernel: count(100, 60),
        by_proxy: count(7, 5),
        weights: [(node(1), 100)].into(),
        limits_in: [(node(1), 2.5)].into(),
        limits_out: [(node(1), 20.0)].into(),
        ..FunctionStatus::default()
    }
}

fn peer() -> PeerStatus {
    PeerStatus {
        node: node(1),
        host: "10.0.0.2".into(),
        direct: true,
        state: "up".into(),
        age_ms: 250,
        mode: "handoff".into(),
        tunnel: None,
        number: Some(0),
        trouble: None,
    }
}

/// A node with traffic and one peer.
fn status() -> Status {
    let margin = MarginStatus {
        offered: 30.0,
        cpu_percent: 50.0,
        ram_bytes: 1e9,
        power_microwatts: 1e6,
        peers: [(node(1), 10.0)].into(),
        standing: "fresh".into(),
    };
    Status {
        node: node(0),
        host: "10.0.0.1".into(),
        version: "1".into(),
        uptime_s: 60,
        strategy: "recalcstrategy".into(),
        decision: 4,
        ready: true,
        kernel: KernelStatus {
            mode: Mode::Handoff,
            interface: "eth0".into(),
            xdp: "native".into(),
            why: Vec::new(),
            error: None,
            firewall: None,
            flows: 12,
            verdicts: BTreeMap::from([("first_to_peer".to_owned(), 99)]),
        },
        proxy: component("managed haproxy"),
        platform: component("embedded"),
        overlay: component("overlay"),
        planner: None,
        margin: Some(margin),
        planes: Planes {
            kernel: PlaneStatus { version: 4, repaired: 6 },
            proxy: PlaneStatus { version: 3, repaired: 0 },
            decision_to_kernel_ms: 1.5,
            proxy_reloads: 8,
        },
        peers: vec![peer()],
        functions: [(function("figlet"), busy())].into(),
    }
}

fn rendered() -> String {
    let meters = Meters::new().unwrap();
    meters.iterated(Duration::from_millis(250));
    meters.kernel_obeyed(Duration::from_micros(1500));
    let message = MessageCount { peer: Some(node(1)), kind: "recalc", outcome: "accepted", count: 5 };
    render(&status(), &meters, &[message], &Counters::default(), LeftOut { functions_left_out: 2, labels_ignored: 1 })
        .unwrap()
}

/// The metrics of the original are named otherwise than Prometheus advises.
const ORIGINAL: [&str; 2] = ["dfaas_agent_strategy_iterations", "dfaas_agent_strategy_iteration_duration_seconds"];

/// Name and type of every metric.
fn types(text: &str) -> Vec<(&str, &str)> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

#[test]
fn counted_values_are_counters_and_say_so() {
    let text = rendered();
    for line in [
        r#"dfaas_requests_total{function="figlet",outcome="offered",plane="kernel"} 100"#,
        r#"dfaas_requests_total{function="figlet",outcome="local",plane="haproxy"} 5"#,
        r#"dfaas_packets_total{verdict="first_to_peer"} 99"#,
        r#"dfaas_plane_repairs_total{plane="kernel"} 6"#,
        "dfaas_proxy_reloads_total 8",
        "dfaas_forwarded_connections 12",
        r#"dfaas_platform_left_out_total{what="function"} 2"#,
        "dfaas_iteration_seconds_count 1",
        r#"dfaas_decision_to_kernel_seconds_bucket{le="0.001"} 0"#,
        r#"dfaas_decision_to_kernel_seconds_bucket{le="0.0025"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
}

/// Each has a number of its own, so none is shown in the place of another.
#[test]
fn every_outcome_and_every_verdict_is_shown_as_it_was_counted() {
    let mut status = status();
    let distinct = |first| Outcomes {
        offered: first,
        local: first + 1,
        forwarded: first + 2,
        rejected: first + 3,
        received: first + 4,
    };
    let busy = status.functions.get_mut(&function("figlet")).unwrap();
    (busy.by_kernel, busy.by_proxy) = (distinct(1000), distinct(2000));
    let counted = Verdict::ALL.iter().map(|verdict| (verdict.name().to_owned(), 7000 + u64::from(verdict.number())));
    status.kernel.verdicts = counted.collect();
    let counters = Counters::default();
    let text = render(&status, &Meters::new().unwrap(), &[], &counters, LeftOut::default()).unwrap();
    let mut lines: Vec<String> = Vec::new();
    for (plane, first) in [("kernel", 1000), ("haproxy", 2000)] {
        for (outcome, n) in ["offered", "local", "forwarded", "rejected", "received"].iter().zip(first..) {
            let labels = format!(r#"function="figlet",outcome="{outcome}",plane="{plane}""#);
            lines.push(format!("dfaas_requests_total{{{labels}}} {n}"));
        }
    }
    for verdict in Verdict::ALL {
        lines.push(format!(r#"dfaas_packets_total{{verdict="{}"}} {}"#, verdict.name(), 7000 + verdict.number()));
    }
    let is_counted =
        |line: &&str| line.starts_with("dfaas_requests_total{") || line.starts_with("dfaas_packets_total{");
    let mut found: Vec<&str> = text.lines().filter(is_counted).collect();
    lines.sort();
    found.sort_unstable();
    assert_eq!(found, lines);
}

#[test]
fn the_originals_metrics_have_their_names() {
    let text = rendered();
    for line in ["dfaas_agent_strategy_iterations 1", "dfaas_agent_strategy_iteration_duration_seconds 0.25"] {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
}

/// The rules of promtool's linter that a name can break, and one type for each.
#[test]
fn names_are_as_prometheus_advises() {
    let text = rendered();
    let types = types(&text);
    assert!(types.len() > 15, "{text}");
    for (name, kind) in types {
        let total = name.ends_with("_total");
        assert!(total == (kind == "counter") || ORIGINAL.contains(&name), "{name} is a {kind}");
        assert!(name.starts_with("dfaas_"), "{name}");
        let reserved = ["_count", "_sum", "_bucket", "_info"].iter().any(|end| name.ends_with(end));
        let scaled = ["_ms", "milli", "_percent", "_minutes", "_kb"].iter().any(|unit| name.contains(unit));
        assert!(!reserved && !scaled, "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}
