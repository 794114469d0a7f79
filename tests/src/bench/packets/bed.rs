//! One node's program, run in its namespace on frames made by hand, each of them new: a program changes what it is given.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use aya::{TestRun as _, TestRunOptions, programs::Xdp};
use dfaas_agent::kernel::tables::Tables;
use dfaas_common::verdict::Verdict;

use crate::{network::Host, pair::Node};

/// Connections of one round, each from a port of its own.
const CONNECTIONS: u16 = 2000;
const FIRST_PORT: u16 = 20_000;

pub(super) fn ports() -> Range<u16> {
    FIRST_PORT..FIRST_PORT + CONNECTIONS
}

pub(super) struct Bed<'a> {
    program: &'a mut Xdp,
    tables: &'a mut Tables,
    ifindex: u32,
    /// Nanoseconds that one packet took.
    times: Vec<(&'static str, f64)>,
}

impl<'a> Bed<'a> {
    pub(super) fn new(node: &'a mut Node, host: &Host) -> Result<Self> {
        let program = node.ebpf.program_mut("dfaas_xdp").context("no program dfaas_xdp")?.try_into()?;
        Ok(Self { program, tables: &mut node.tables, ifindex: ifindex(host)?, times: Vec::new() })
    }

    pub(super) fn times(self) -> Vec<(&'static str, f64)> {
        self.times
    }

    pub(super) fn forget_connections(&mut self) -> Result<()> {
        self.tables.clear_flows()
    }

    /// Runs the program on a packet of each connection and notes what one took; all must come to this verdict. Returns
    /// what the program made of the packets.
    pub(super) fn time(
        &mut self,
        name: &'static str,
        verdict: Verdict,
        frame: impl Fn(usize, u16) -> Vec<u8>,
    ) -> Result<Vec<Vec<u8>>> {
        let frames: Vec<Vec<u8>> = ports().enumerate().map(|(i, port)| frame(i, port)).collect();
        let count = |bed: &Self| Ok::<_, anyhow::Error>(bed.tables.verdicts()?[verdict.number() as usize].1);
        let before = count(self)?;
        let (ns, made) = timed(self.program, self.ifindex, &frames)?;
        let packets = count(self)? - before;
        // The network is never quite silent.
        ensure!(packets >= u64::from(CONNECTIONS), "{name}: {packets} of {CONNECTIONS} came to {verdict:?}");
        self.times.push((name, ns));
        Ok(made)
    }
}

pub(super) fn ifindex(host: &Host) -> Result<u32> {
    Ok(host.namespace.run(&format!("cat /sys/class/net/{}/ifindex", Host::INTERFACE))?.trim().parse()?)
}

/// Runs a program once on each frame: nanoseconds for one of them, and what became of them.
pub(super) fn timed(program: &mut Xdp, ifindex: u32, frames: &[Vec<u8>]) -> Result<(f64, Vec<Vec<u8>>)> {
    let before = program.info()?;
    let made = frames.iter().map(|frame| run(program, ifindex, frame)).collect::<Result<_>>()?;
    let now = program.info()?;
    let ns = now.run_time().saturating_sub(before.run_time()).as_nanos() as f64;
    Ok((ns / (now.run_count() - before.run_count()) as f64, made))
}

fn run(program: &mut Xdp, ifindex: u32, frame: &[u8]) -> Result<Vec<u8>> {
    let context: Vec<u8> =
        [0, frame.len() as u32, 0, ifindex, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut out = vec![0; 2048];
    let result = program.test_run(TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut out),
        ctx_in: Some(&context),
        ..TestRunOptions::default()
    })?;
    out.truncate(result.data_size_out as usize);
    Ok(out)
}
