//! `bench overload`: more calls than a node may serve, and no peer that could: how many of those it may serve it does
//! serve, and how fast.

use std::{
    any::Any,
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use axum::Router;
use dfaas_common::limit::Limit;
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::{
    Setting, bodies,
    calls::FORWARDED,
    contender::{A, give_ports},
    findings::{Findings, number, range},
    haproxy::{self, Haproxy},
    spread::Spread,
};
use crate::{
    client::{Call, Connections, Latency, Load, Outcome},
    federation::lease::Lease,
    netns::{Entrance, Namespace},
    pair::{self, CLIENT, PLACED, Pair},
    service::Service,
};

/// Calls per second that the node may serve.
const LIMIT: u32 = 300;
/// What is offered, in limits.
const TIMES: [u32; 4] = [1, 2, 5, 10];
/// CPU time of the function for one call: at the limit, a third of a CPU.
const WORK: Duration = Duration::from_millis(1);
/// As agents are set by default.
const BURST: Duration = Duration::from_millis(500);
/// Of the limit, at the largest load.
const GOAL: f64 = 0.95;

struct Node {
    name: &'static str,
    client: Entrance,
    url: String,
    _parts: Box<dyn Any>,
}

/// What came of one load.
#[derive(Clone, Debug)]
struct Turn {
    times: u32,
    offered_per_second: f64,
    served_per_second: f64,
    refused_per_second: f64,
    failed: u64,
    late: Duration,
    latency: Latency,
}

pub(super) fn run(setting: &Setting) -> Result<Findings> {
    let leases = [Lease::take()?, Lease::take()?];
    let nodes = [kernel(setting, leases[0].prefix())?, proxy(leases[1].prefix())?];
    let mut turns: [Vec<Turn>; 2] = Default::default();
    for times in TIMES {
        for round in 1..=setting.rounds() {
            for (node, turns) in nodes.iter().zip(&mut turns) {
                setting.step(&format!(
                    "overload, {times} times, round {round} of {}: {}",
                    setting.rounds(),
                    node.name
                ))?;
                turns.push(turn(node, times, setting.seconds(1, 8))?);
            }
        }
    }
    Ok(findings(&nodes, &turns))
}

/// The programs and the listener they place connections on.
fn kernel(setting: &Setting, prefix: &str) -> Result<Node> {
    let files = tempfile::tempdir()?;
    let mut pair = Pair::new(prefix, [10, 92, 3], &setting.image, setting.args.xdp)?;
    give_ports(&pair.network)?;
    let limit = Limit::new(LIMIT.into(), BURST.as_nanos() as u64);
    pair.route(A, FORWARDED, 0, |route| route.local = limit)?;
    let host = &pair.network.hosts[A];
    let function = function(&host.namespace)?;
    let listener = Haproxy::start(&host.namespace, &files.path().join("a"), &haproxy::service(&PLACED.to_string()))?;
    let (url, client) = (url(host.address), pair.network.hosts[CLIENT].namespace.entrance()?);
    Ok(Node { name: "kernel", client, url, _parts: Box::new((listener, function, pair, files)) })
}

/// The original's rules.
fn proxy(prefix: &str) -> Result<Node> {
    let files = tempfile::tempdir()?;
    let network = pair::network(prefix, [10, 92, 4])?;
    network.without_xdp()?;
    give_ports(&network)?;
    let host = &network.hosts[A];
    let function = function(&host.namespace)?;
    let text = haproxy::saturated(host.address, LIMIT);
    let haproxy = Haproxy::start(&host.namespace, &files.path().join("a"), &text)?;
    let (url, client) = (url(host.address), network.hosts[CLIENT].namespace.entrance()?);
    Ok(Node { name: "HAProxy", client, url, _parts: Box::new((haproxy, function, network, files)) })
}

fn url(address: std::net::Ipv4Addr) -> String {
    format!("http://{address}/function/{FORWARDED}")
}

/// A function that computes, on one thread.
fn function(namespace: &Namespace) -> Result<Service> {
    let router = Router::new().fallback(async || work().map_or_else(|error| error.to_string(), |()| "ok".to_owned()));
    Service::start(&namespace.entrance()?, bodies::ADDRESS, router)
}

fn work() -> nix::Result<()> {
    let spent = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let end = spent()? + WORK;
    while spent()? < end {
        std::hint::spin_loop();
    }
    Ok(())
}

/// The first second fills buckets and counts for nothing.
fn turn(node: &Node, times: u32, time: Duration) -> Result<Turn> {
    let begun = Instant::now();
    let call = Call::get(&node.url).timeout(Duration::from_secs(8));
    let duration = Some(Duration::from_secs(1) + time);
    let load = Load { call, rate: f64::from(LIMIT * times), duration, connections: Connections::PerCall };
    let tally = load.start(&node.client)?.finish()?;
    let total = tally.total_from(1);
    let refused = total.count(|outcome| matches!(outcome, Outcome::Answered { status: 429 | 503, .. }));
    let served = total.calls() - total.unsuccessful();
    ensure!(total.calls() > 0, "{}: no call was made in {:?}", node.name, begun.elapsed());
    let seconds = time.as_secs_f64();
    Ok(Turn {
        times,
        offered_per_second: total.calls() as f64 / seconds,
        served_per_second: served as f64 / seconds,
        refused_per_second: refused as f64 / seconds,
        failed: total.calls() - served - refused,
        late: total.latest,
        latency: tally.latency,
    })
}

fn findings(nodes: &[Node; 2], turns: &[Vec<Turn>; 2]) -> Findings {
    let mut findings = Findings::default();
    let mut rows = Vec::new();
    let mut said = String::new();
    for times in TIMES {
        for (node, turns) in nodes.iter().zip(turns) {
            let turns: Vec<&Turn> = turns.iter().filter(|turn| turn.times == times).collect();
            for turn in &turns {
                findings.line(line(node, turn));
            }
            let of =
                |value: &dyn Fn(&Turn) -> f64| Spread::of(&turns.iter().map(|turn| value(turn)).collect::<Vec<_>>());
            let quantile = |quantile: f64| of(&|turn| turn.latency.quantile_ms(quantile));
            let (Some(offered), Some(served)) = (of(&|turn| turn.offered_per_second), of(&|t| t.served_per_second))
            else {
                continue;
            };
            let (share, failed) = (served.median / f64::from(LIMIT), turns.iter().map(|turn| turn.failed).sum::<u64>());
            rows.push(vec![
                format!("{times} times: {}", node.name),
                number(offered.median),
                number(served.median),
                range(&served),
                format!("{:.1} %", share * 100.0),
                quantile(0.5).map_or("–".to_owned(), |spread| number(spread.median)),
                quantile(0.99).map_or("–".to_owned(), |spread| number(spread.median)),
                failed.to_string(),
                turns.iter().map(|turn| turn.late.as_millis()).max().unwrap_or(0).to_string(),
            ]);
            if Some(&times) == TIMES.last() {
                let met = if share >= GOAL { "met" } else { "missed" };
                let goal = GOAL * 100.0;
                let _ = writeln!(said, "Goal at {times} times, {goal:.0} % of the limit: {met} by {}.", node.name);
            }
        }
    }
    let header = [
        "offered",
        "calls/s",
        "served/s",
        "in the rounds",
        "of the limit",
        "p50, ms",
        "p99, ms",
        "failed",
        "sent late, ms",
    ];
    findings.table(&header, rows);
    findings.say(said);
    findings.say(format!(
        "The limit is {LIMIT}/s, a call costs its function {} ms of CPU, and all calls come at fixed times on connections of \
         their own. p50 and p99 are of the calls served, from when they were due; failed are those neither served nor \
         refused. Where calls were sent late, the client has not kept up with its own plan. Node, function and client share the cores.",
        WORK.as_millis()
    ));
    findings
}

fn line(node: &Node, turn: &Turn) -> serde_json::Value {
    json!({
        "kind": "overload", "contender": node.name, "times": turn.times, "limit": LIMIT,
        "offered_per_second": turn.offered_per_second, "served_per_second": turn.served_per_second,
        "refused_per_second": turn.refused_per_second, "failed": turn.failed,
        "sent_late_ms": turn.late.as_secs_f64() * 1000.0,
        "p50_ms": turn.latency.quantile_ms(0.5), "p99_ms": turn.latency.quantile_ms(0.99),
    })
}
