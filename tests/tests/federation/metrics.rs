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
    let text = metrics(&bed, 0);
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

/// Calls of each kind: no number is that of another kind.
const LOCAL: u64 = 5;
const FORWARDED: u64 = 7;
const REFUSED: u64 = 9;
const ODD: u64 = 3;
const NAMELESS: u64 = 4;

/// What was counted of `function` by outcome, on both planes together.
fn requests(text: &str, function: &str) -> [u64; 5] {
    ["offered", "local", "forwarded", "rejected", "received"].map(|outcome| {
        let of = |plane| {
            let name = format!(r#"dfaas_requests_total{{function="{function}",outcome="{outcome}",plane="{plane}"}}"#);
            value(text, &name).unwrap_or_else(|| panic!("no {name} in {text}")) as u64
        };
        of("kernel") + of("haproxy")
    })
}

fn packets<const N: usize>(text: &str, verdicts: [&str; N]) -> [u64; N] {
    verdicts.map(|verdict| {
        value(text, &format!(r#"dfaas_packets_total{{verdict="{verdict}"}}"#)).unwrap_or_default() as u64
    })
}

#[test]
fn every_call_is_in_the_metrics_by_what_became_of_it() {
    let bed = Bed::new(|options| {
        options.nodes = 2;
        let limits = [("figlet", vec![1000]), ("env", vec![0, 1000]), ("shasum", vec![0])];
        options.rate_limits_of.extend(limits.map(|(name, limits)| (name.to_owned(), limits)));
    });
    for (function, count, expected) in [("figlet", LOCAL, "n1"), ("env", FORWARDED, "n2")] {
        for _ in 0..count {
            let (_, server) = bed.served(&Call::post(bed.url(0, &format!("/function/{function}")), "hello"));
            assert_eq!(server, expected, "{function}");
        }
    }
    for (path, count, status) in
        [("/function/shasum", REFUSED, 429), ("/healthz", ODD, 200), ("/function/nobody-has-it", NAMELESS, 404)]
    {
        for _ in 0..count {
            assert_eq!(bed.call(&Call::get(bed.url(0, path))).status, status, "{path}");
        }
    }
    let verdicts = ["FirstToLocal", "FirstToPeer", "FirstRefused", "NotACall", "UnknownFunction"];
    let counted =
        |text: &str| (["figlet", "env", "shasum"].map(|function| requests(text, function)), packets(text, verdicts));
    let expected = (
        [[LOCAL, LOCAL, 0, 0, 0], [FORWARDED, 0, FORWARDED, 0, 0], [REFUSED, 0, 0, REFUSED, 0]],
        [LOCAL, FORWARDED, REFUSED, ODD, NAMELESS],
    );
    // The status, and with it the metrics, are as old as a tick.
    bed.wait_until(SETTLE, |_| {
        let found = (counted(&metrics(&bed, 0)), requests(&metrics(&bed, 1), "env")[4]);
        (found != (expected, FORWARDED)).then(|| format!("{found:?}, expected {:?}", (expected, FORWARDED)))
    })
    .unwrap();
    let [handshakes, handed_off] =
        [packets(&metrics(&bed, 0), ["SynAnswered"])[0], packets(&metrics(&bed, 1), ["HandoffAccepted"])[0]];
    assert!(handshakes >= LOCAL + FORWARDED + REFUSED + ODD + NAMELESS, "{handshakes} handshakes");
    assert_eq!(handed_off, FORWARDED);
    bed.stop();
}

fn metrics(bed: &Bed, i: usize) -> String {
    let call = Call::get("http://127.0.0.1:8090/metrics".to_owned());
    let answer = call.send(&bed.host(i).namespace.entrance().unwrap()).unwrap();
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
