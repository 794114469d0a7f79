//! `bench packets`: the time that the program takes for one packet of each kind, by test runs on frames made by hand.
//!
//! Connections are made in step: first all SYNs, then all that follows them, and so on, each with a flow entry that
//! the CPU has not just seen. Steadier than a load, because nothing but the program is timed; and kinder, because the
//! caches hold the program.

mod bed;
mod steps;

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result};
use aya::{Ebpf, programs::Xdp};
use serde_json::json;

use self::{
    bed::{Bed, ifindex, ports, timed},
    steps::Cast,
};
use super::{
    Setting,
    contender::{A, B, Kernel},
    findings::{Findings, number, range},
    haproxy::{self, Haproxy},
    programs,
    spread::Spread,
};
use crate::{
    federation::lease::Lease,
    packet::Frame,
    pair::{CLIENT, PLACED, Pair},
};

/// A function that node A runs itself.
const LOCAL: &str = "near";
/// What counting costs, with nothing to count.
const EMPTY: &str = "empty program";

/// What the program took for packets of one kind, nanoseconds each, in every round.
struct Kind {
    name: &'static str,
    rounds_ns: Vec<f64>,
}

pub(super) fn run(setting: &Setting) -> Result<Findings> {
    let (lease, files) = (Lease::take()?, tempfile::tempdir()?);
    let mut kernel = Kernel::new(lease.prefix(), &setting.image, setting.args.xdp, files.path())?;
    let pair = kernel.pair();
    pair.route(A, LOCAL, 2, |_| {})?;
    let namespace = &pair.network.hosts[A].namespace;
    let _listener = Haproxy::start(namespace, &files.path().join("a"), &haproxy::function(&PLACED.to_string()))?;
    let mut kinds: Vec<Kind> = Vec::new();
    for n in 1..=setting.rounds() {
        setting.step(&format!("packets, round {n} of {}", setting.rounds()))?;
        for (name, ns) in round(pair, &setting.image)? {
            match kinds.iter_mut().find(|kind| kind.name == name) {
                Some(kind) => kind.rounds_ns.push(ns),
                None => kinds.push(Kind { name, rounds_ns: vec![ns] }),
            }
        }
    }
    let mut findings = Findings::default();
    show(&mut findings, &kinds)?;
    programs::show(&mut findings, &setting.image)?;
    Ok(findings)
}

fn round(pair: &mut Pair, image: &[u8]) -> Result<Vec<(&'static str, f64)>> {
    let hosts = &pair.network.hosts;
    let cast = Cast {
        client: hosts[CLIENT].address,
        service: SocketAddrV4::new(hosts[A].address, 80),
        peer: hosts[B].address,
    };
    let mut times = vec![(EMPTY, empty(pair, image, cast)?)];
    let hosts = &pair.network.hosts;
    let mut bed = Bed::new(&mut pair.nodes[A], &hosts[A])?;
    let handed = hosts[A].namespace.enter(|| {
        steps::local(&mut bed, cast)?;
        steps::refuse(&mut bed, cast)?;
        steps::forward(&mut bed, cast)
    })??;
    times.extend(bed.times());
    let mut bed = Bed::new(&mut pair.nodes[B], &hosts[B])?;
    hosts[B].namespace.enter(|| steps::take(&mut bed, &handed))??;
    times.extend(bed.times());
    Ok(times)
}

/// A program that only passes packets on.
fn empty(pair: &Pair, image: &[u8], cast: Cast) -> Result<f64> {
    let host = &pair.network.hosts[A];
    let (index, frame) =
        (ifindex(host)?, |port| Frame::tcp(SocketAddrV4::new(cast.client, port), cast.service).bytes());
    let frames: Vec<Vec<u8>> = ports().map(frame).collect();
    let mut ebpf = Ebpf::load(image)?;
    let program: &mut Xdp = ebpf.program_mut("dfaas_pass").context("no program dfaas_pass")?.try_into()?;
    program.load()?;
    host.namespace.enter(|| timed(program, index, &frames).map(|(ns, _)| ns))?
}

fn show(findings: &mut Findings, kinds: &[Kind]) -> Result<()> {
    let empty = kinds.iter().find(|kind| kind.name == EMPTY).and_then(|kind| Spread::of(&kind.rounds_ns));
    let empty = empty.context("the empty program was not measured")?;
    let mut rows = Vec::new();
    for kind in kinds {
        let Some(spread) = Spread::of(&kind.rounds_ns) else { continue };
        let above_ns = spread.median - empty.median;
        rows.push(vec![kind.name.to_owned(), number(spread.median), range(&spread), number(above_ns)]);
        findings.line(json!({ "kind": "packet", "packet": kind.name, "median_ns": spread.median, "min_ns": spread.min,
                              "max_ns": spread.max, "above_empty_ns": above_ns }));
    }
    findings.table(&["one packet", "ns", "in the rounds", "without the empty program"], rows);
    findings
        .say("What is charged: the program's run, and the counting of its time, which the empty program shows alone.");
    Ok(())
}
