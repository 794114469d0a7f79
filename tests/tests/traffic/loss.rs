//! Links that lose, repeat and reorder packets: every call is answered, every byte is right.

use std::time::Duration;

use anyhow::{Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_tests::{client::Echo, link::Impairment};

use crate::{bed::Bed, long};

/// Around the sizes at which packets fill up.
const SIZES_BYTES: [usize; 9] = [0, 1, 100, 1_000, 1_400, 4_000, 16_000, 64_000, 200_000];

/// Both links of a forwarded call are bad: the client's and that of the node that serves.
fn calls_survive(impairment: Impairment, calls: usize, at_once: usize) -> Result<()> {
    let bed = Bed::new(2, XdpPlace::Native)?;
    let links = [bed.federation.impair("client", impairment, 1)?, bed.federation.impair("n2", impairment, 2)?];
    let started = || Ok::<_, anyhow::Error>([bed.started(0, "near")?, bed.started(1, "far")?]);
    let before = started()?;
    let echo = Echo {
        urls: vec![bed.url("near"), bed.url("far")],
        sizes_bytes: SIZES_BYTES.to_vec(),
        calls,
        at_once,
        timeout: Duration::from_mins(2),
    };
    let echoed = echo.run(&bed.client)?;
    let frames: Vec<_> = links.iter().map(dfaas_tests::link::Link::frames).collect();
    let (took, slowest) = (echoed.took.as_secs_f64(), echoed.slowest.as_secs_f64());
    eprintln!("{calls} calls in {took:.1} s, slowest {slowest:.1} s; frames (seen, lost) by link: {frames:?}");
    ensure!(echoed.wrong == 0, "{} of {calls} calls went wrong: {:#?}\n{}", echoed.wrong, echoed.texts, bed.verdicts());
    for node in &bed.federation.nodes {
        let served = echoed.right.get(&node.id).copied().unwrap_or(0);
        ensure!(served == calls / 2, "{} served {served} of {calls} calls: {:?}", node.name, echoed.right);
    }
    // No call was made twice.
    let after = started()?;
    ensure!(after == before.map(|n| n + calls as u64 / 2), "{before:?} calls became {after:?} by {calls}");
    for (seen, lost) in frames {
        let share = lost as f64 / seen as f64;
        ensure!((share - impairment.lost).abs() < 0.02, "{lost} of {seen} frames were lost");
    }
    bed.wait_without_flows()
}

#[test]
fn two_percent_loss_costs_no_call() {
    let calls = if long() { 20_000 } else { 2_000 };
    calls_survive(Impairment { lost: 0.02, ..Impairment::default() }, calls, 32).unwrap();
}

#[test]
fn ten_percent_loss_costs_no_call() {
    let calls = if long() { 2_000 } else { 300 };
    calls_survive(Impairment { lost: 0.1, ..Impairment::default() }, calls, 32).unwrap();
}

#[test]
fn packets_that_overtake_each_other_cost_no_call() {
    let delay = Duration::from_millis(5);
    calls_survive(Impairment { delay, overtaking: 0.25, ..Impairment::default() }, 600, 32).unwrap();
}

#[test]
fn packets_that_come_twice_cost_no_call_and_make_none_twice() {
    let calls = 1_000;
    calls_survive(Impairment { repeated: 0.2, ..Impairment::default() }, calls, 32).unwrap();
}
