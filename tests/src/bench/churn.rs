//! `bench churn`: whole nodes, whose tables, proxies and agents are replaced under load. Not one call may be lost.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::{pins::Pins, tables::Tables};
use dfaas_common::{http::Name, route::fill_slots};
use reqwest::Method;
use serde_json::json;

use super::{Setting, findings::Findings};
use crate::{
    client::{Call, Connections, Load, Running, Tally},
    federation::{Federation, FunctionGateway, Functions, Options},
};

/// For nodes to see each other, or for anything else that is to happen, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Calls per second of each load.
const RATE: f64 = 50.0;
/// Of every node and function: more than all loads.
const LIMIT: u32 = 200;
/// Served by the node that is called, and by its peers only.
const NEAR: &str = "figlet";
const FAR: &str = "env";
const TABLE_INTERVAL: Duration = Duration::from_millis(10);
/// After the last change of a kind, for late harm to show.
const AFTER: Duration = Duration::from_secs(1);
const PLATFORM: &str = "http://127.0.0.1:8081/system/functions";

/// What is replaced, and how often.
struct Change {
    name: &'static str,
    count: u32,
    make: fn(&mut Federation, u32) -> Result<()>,
}

pub(super) fn run(setting: &Setting) -> Result<Findings> {
    let (directory, quick) = (tempfile::tempdir()?, setting.args.quick);
    setting.step("churn: starting three nodes")?;
    let mut federation = start(setting, directory.path())?;
    let changes = [
        Change { name: "tables replaced", count: if quick { 200 } else { 1000 }, make: replace_table },
        Change { name: "HAProxy reloaded", count: if quick { 4 } else { 20 }, make: reload_haproxy },
        Change { name: "agents replaced", count: if quick { 4 } else { 20 }, make: replace_agent },
    ];
    let (mut findings, mut rows) = (Findings::default(), Vec::new());
    for change in &changes {
        setting.step(&format!("churn: {} {} times", change.name, change.count))?;
        let begun = Instant::now();
        let tally = under_load(setting, &mut federation, change)?;
        let total = tally.total();
        let (calls, lost) = (total.calls(), total.unsuccessful());
        rows.push(vec![change.name.to_owned(), change.count.to_string(), calls.to_string(), lost.to_string()]);
        findings.line(json!({ "kind": "churn", "change": change.name, "count": change.count, "calls": calls, "lost": lost,
                              "seconds": begun.elapsed().as_secs_f64(), "slowest_ms": total.slowest.as_millis() as u64 }));
        if lost > 0 {
            findings.broken(format!("{}: {lost} of {calls} calls lost: {}", change.name, tally.troubles()));
        }
        ensure!(calls > 0, "no calls were made while {}", change.name);
    }
    for trouble in federation.stop() {
        findings.broken(trouble);
    }
    findings.table(&["while", "times", "calls", "lost or failed"], rows);
    findings.say(format!(
        "Three loads of {RATE} calls/s each on one node: of a function there on connections per call and kept ones, and of a \
         function that only its two peers may serve."
    ));
    Ok(findings)
}

fn start(setting: &Setting, directory: &std::path::Path) -> Result<Federation> {
    let agent = match &setting.args.agent {
        Some(path) => path.clone(),
        None => crate::built::program("dfaas-agent")?,
    };
    let mut options = Options::new(&agent, directory);
    options.rate_limits = vec![LIMIT];
    options.rate_limits_of.insert(FAR.to_owned(), vec![0, LIMIT, LIMIT]);
    options.functions = Functions::Lasting;
    options.stop = setting.stop.clone();
    // Two processors and three nodes: nobody is silent because others compute.
    let settings = [("AGENT_DETACH_ON_EXIT", "false"), ("AGENT_PEER_TIMEOUT", "15s")];
    options.settings.extend(settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let federation = Federation::start(options, &|_| {})?;
    federation.wait_settled(PATIENCE)?;
    let (call, from) = (Call::get(federation.url(0, &format!("/function/{FAR}"))), federation.client()?);
    eventually("the peers serve no calls", || Ok(call.send(&from)?.status == 200))?;
    Ok(federation)
}

/// Waits until it is so.
fn eventually(otherwise: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "{otherwise} after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn under_load(setting: &Setting, federation: &mut Federation, change: &Change) -> Result<Tally> {
    let from = federation.client()?;
    let start = |(function, connections)| {
        let url = federation.url(0, &format!("/function/{function}"));
        let call = Call::post(url, "hello").timeout(Duration::from_secs(20));
        Load { call, rate: RATE, duration: None, connections }.start(&from)
    };
    let loads = [(NEAR, Connections::PerCall), (NEAR, Connections::Kept), (FAR, Connections::PerCall)];
    let loads: Vec<Running> = loads.into_iter().map(start).collect::<Result<_>>()?;
    thread::sleep(AFTER);
    for n in 0..change.count {
        setting.stop.check()?;
        (change.make)(federation, n).with_context(|| format!("{}, number {}", change.name, n + 1))?;
    }
    thread::sleep(AFTER);
    let mut all = Tally::default();
    for load in loads {
        all.merge(&load.stop()?);
    }
    Ok(all)
}

/// Other weights for the two peers, faster than any agent would change them.
fn replace_table(federation: &mut Federation, n: u32) -> Result<()> {
    thread::sleep(TABLE_INTERVAL);
    let mut tables = Tables::open(&Pins::new(&federation.nodes[0].pin_dir))?.context("the node has no tables")?;
    let name = Name::new(FAR).context("no name")?;
    let routes = tables.routes();
    let (_, mut route) = routes.into_iter().find(|(other, _)| *other == name).context("no table of the function")?;
    let numbers: BTreeSet<u8> = tables.peers().into_iter().map(|(number, _)| number as u8).collect();
    let [one, other] = numbers.into_iter().collect::<Vec<_>>()[..] else { anyhow::bail!("expected two peers") };
    let weights = [(1, 3), (3, 1), (1, 1)][n as usize % 3];
    route.version = route.version.wrapping_add(1);
    route.slots = fill_slots(&[(one, weights.0), (other, weights.1)]);
    tables.set_route(&name, &route)
}

/// A new function changes the structure of HAProxy's configuration.
fn reload_haproxy(federation: &mut Federation, n: u32) -> Result<()> {
    let before = workers(federation)?;
    let deployment = json!({ "service": format!("churn{n}"), "envProcess": "cat", "image": "" });
    let mut call = Call::post(PLATFORM, deployment.to_string()).as_admin(FunctionGateway::PASSWORD);
    call.method = Method::POST;
    let answer = call.send(&federation.host(0).namespace.entrance()?)?;
    ensure!(answer.status < 300, "{deployment}: status {}: {}", answer.status, answer.text());
    eventually("HAProxy has no new worker", || Ok(!workers(federation)?.is_subset(&before)))
}

fn workers(federation: &Federation) -> Result<BTreeSet<i32>> {
    let master = federation.haproxy_pid(0)?;
    let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
    children.split_whitespace().map(|pid| Ok(pid.parse()?)).collect()
}

/// The agent called, and one of those that serve, by turns; by turns killed and asked to end.
fn replace_agent(federation: &mut Federation, n: u32) -> Result<()> {
    let i = n as usize % 2;
    if (n / 2).is_multiple_of(2) {
        federation.kill_agent(i)?;
    } else {
        federation.stop_agent(i)?;
    }
    federation.start_agent(i)?;
    federation.wait_ready(i)?;
    federation.wait_joined(PATIENCE)
}
