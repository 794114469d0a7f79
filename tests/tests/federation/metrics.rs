//! The metrics of a node with traffic.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use dfaas_tests::client::Call;

use crate::{Bed, SETTLE};

const CALLS: u64 = 12;

#[test]
fn the_metrics_of_a_node_with_traffic_tell_it_and_please_the_linter() {
    let bed = Bed::new(|options| options.nodes = 2);
    for _ in 0..CALLS {
        bed.served(&Call::post(bed.url(0, "/function/figlet"), "hello"));
    }
    bed.wait_until(SETTLE, |statuses| {
        let figlet = statuses[0].1.functions.iter().find(|(name, _)| name.as_str() == "figlet");
        let totals = figlet.map(|(_, function)| function.totals).unwrap_or_default();
        let served = totals.local + totals.forwarded;
        (served != CALLS || totals.offered != CALLS).then(|| format!("counted {totals:?}, expected {CALLS} calls"))
    })
    .unwrap();
    let figlet = bed.status(0).unwrap().functions.into_iter().find(|(name, _)| name.as_str() == "figlet").unwrap().1;
    let text = metrics(&bed);
    for (outcome, by_kernel, by_proxy) in [
        ("offered", figlet.by_kernel.offered, figlet.by_proxy.offered),
        ("local", figlet.by_kernel.local, figlet.by_proxy.local),
        ("forwarded", figlet.by_kernel.forwarded, figlet.by_proxy.forwarded),
    ] {
        for (plane, count) in [("kernel", by_kernel), ("haproxy", by_proxy)] {
            let name = format!(r#"dfaas_requests_total{{function="figlet",outcome="{outcome}",plane="{plane}"}}"#);
            assert_eq!(value(&text, &name), Some(count as f64), "{name} in {text}");
        }
    }
    assert_eq!(figlet.by_kernel.offered, CALLS, "the kernel has the first word on every connection");
    let syns = value(&text, r#"dfaas_packets_total{verdict="SynAnswered"}"#);
    assert!(syns.is_some_and(|syns| syns >= CALLS as f64), "{syns:?} handshakes in {text}");
    assert!(value(&text, "dfaas_iteration_seconds_count") > Some(0.0), "{text}");
    assert!(value(&text, "dfaas_decision_to_kernel_seconds_count") > Some(0.0), "{text}");
    lint(&text);
    bed.stop();
}

fn metrics(bed: &Bed) -> String {
    let call = Call::get("http://127.0.0.1:8090/metrics".to_owned());
    let answer = call.send(&bed.host(0).namespace.entrance().unwrap()).unwrap();
    assert_eq!(answer.status, 200);
    answer.text()
}

fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The original's own names are the only ones that break the rules.
fn lint(text: &str) {
    let promtool =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no promtool: {error}");
            eprintln!("not linted: no promtool ({error})");
            return;
        }
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = complaints.lines().filter(|line| !line.starts_with("dfaas_agent_strategy_")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}
