//! `--packets`: the time that the program takes for one packet of each kind, by test runs on frames made by hand.
//!
//! Connections are made in step: first all SYNs, then all that follows them, and so on, each with a flow entry that
//! the CPU has not just seen. Steadier than a load, because nothing but the program is timed; and kinder, because the
//! caches hold the program.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use aya::{TestRun as _, TestRunOptions, programs::Xdp};
use dfaas_agent::kernel::tables::Tables;
use dfaas_common::verdict::Verdict;

use super::{
    figure::{FORWARDED, REFUSED},
    report::Spread,
};
use crate::{
    network::Host,
    packet::{ACK, FIN, Frame, PSH, SYN, Tunnel},
    pair::{self, Pair},
};

/// Connections of one round, each from a port of its own.
const CONNECTIONS: u16 = 2000;
const FIRST_PORT: u16 = 20_000;
const ISN: u32 = 1_000_000;

/// What the program took for packets of one kind, nanoseconds each, in every round.
pub(super) struct Kind {
    pub(super) name: &'static str,
    rounds_ns: Vec<f64>,
}

impl Kind {
    pub(super) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.rounds_ns)
    }
}

/// Node A's program, run in its namespace.
struct Bed<'a> {
    program: &'a mut Xdp,
    tables: &'a mut Tables,
    ifindex: u32,
    client: Ipv4Addr,
    service: SocketAddrV4,
    peer: Ipv4Addr,
    times: Vec<(&'static str, f64)>,
}

/// `pair` has the tables for [`FORWARDED`] and [`REFUSED`] at node A.
pub(super) fn measure(pair: &mut Pair, rounds: usize) -> Result<Vec<Kind>> {
    let [a, peer, client] = [0, 1, 2].map(|i| pair.network.hosts[i].address);
    let namespace = &pair.network.hosts[0].namespace;
    let ifindex = namespace.run(&format!("cat /sys/class/net/{}/ifindex", Host::INTERFACE))?.trim().parse()?;
    let node = &mut pair.nodes[0];
    let program: &mut Xdp = node.ebpf.program_mut("dfaas_xdp").context("no program dfaas_xdp")?.try_into()?;
    let service = SocketAddrV4::new(a, 80);
    let mut bed = Bed { program, tables: &mut node.tables, ifindex, client, service, peer, times: Vec::new() };
    let mut kinds: Vec<Kind> = Vec::new();
    for _ in 0..rounds {
        namespace.enter(|| bed.forward().and_then(|()| bed.refuse()))??;
        for (name, ns) in bed.times.drain(..) {
            match kinds.iter_mut().find(|kind| kind.name == name) {
                Some(kind) => kind.rounds_ns.push(ns),
                None => kinds.push(Kind { name, rounds_ns: vec![ns] }),
            }
        }
    }
    Ok(kinds)
}

fn ports() -> impl Iterator<Item = u16> {
    FIRST_PORT..FIRST_PORT + CONNECTIONS
}

/// What the SYN-ACK said.
#[derive(Clone, Copy)]
struct Opened {
    /// The server's initial sequence number.
    isn: u32,
    /// Its timestamp, which the client echoes.
    stamp: u32,
}

impl Opened {
    /// In the SYN-ACK to [`SYN_OPTIONS`].
    fn read(syn_ack: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(syn_ack.get(at..at + 4)?.try_into().ok()?));
        Some(Self { isn: word(38)?, stamp: word(62)? })
    }

    /// So many bytes of the answer later.
    fn behind(self, bytes: u32) -> Self {
        Self { isn: self.isn.wrapping_add(bytes), ..self }
    }

    /// What Linux sends in every segment: two paddings and a timestamp.
    fn options(self) -> Vec<u8> {
        [&[1, 1, 8, 10, 0, 0, 0, 9][..], &self.stamp.to_be_bytes()].concat()
    }
}

const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];

impl Bed<'_> {
    fn forward(&mut self) -> Result<()> {
        let elsewhere = SocketAddrV4::new(self.peer, 80);
        self.time("not ours", Verdict::NotSteered, |bed, _, port| {
            Frame::tcp(SocketAddrV4::new(bed.client, port), elsewhere).bytes()
        })?;
        let opened = self.handshakes("SYN")?;
        let request = self.request(FORWARDED);
        let first = |bed: &Self, i: usize, port| bed.segment(port, opened[i]);
        let later = |bed: &Self, i: usize, port, flags| {
            bed.segment(port, opened[i].behind(100)).sequence(ISN + 100).flags(flags).payload(&request).bytes()
        };
        self.time("bare ACK, no flow", Verdict::HandshakeAck, |bed, i, port| first(bed, i, port).bytes())?;
        self.time("first data packet, to a peer", Verdict::FirstToPeer, |bed, i, port| {
            first(bed, i, port).flags(ACK | PSH).payload(&request).bytes()
        })?;
        self.time("later packet, to a peer", Verdict::LaterToPeer, |bed, i, port| later(bed, i, port, ACK | PSH))?;
        self.time("answer of a peer", Verdict::Returned, |bed, i, port| bed.answer(port, opened[i], ACK | PSH))?;
        self.time("FIN of a peer", Verdict::Returned, |bed, i, port| bed.answer(port, opened[i], ACK | FIN))?;
        self.time("FIN to a peer, the last", Verdict::LaterToPeer, |bed, i, port| later(bed, i, port, ACK | FIN))
    }

    fn refuse(&mut self) -> Result<()> {
        let opened = self.handshakes("SYN, again")?;
        let request = self.request(REFUSED);
        self.time("first data packet, refused", Verdict::FirstRefused, |bed, i, port| {
            bed.segment(port, opened[i]).flags(ACK | PSH).payload(&request).bytes()
        })?;
        self.time("ACK of a refusal", Verdict::RefusalDone, |bed, i, port| {
            bed.segment(port, opened[i].behind(100)).sequence(ISN + 100).bytes()
        })
    }

    fn request(&self, function: &str) -> String {
        format!("GET /function/{function} HTTP/1.1\r\nHost: {}\r\n\r\n", self.service.ip())
    }

    /// SYNs from all ports.
    fn handshakes(&mut self, name: &'static str) -> Result<Vec<Opened>> {
        self.tables.clear_flows()?;
        let answers = self.time_answers(name, Verdict::SynAnswered, |bed, _, port| {
            let syn = Frame::tcp(SocketAddrV4::new(bed.client, port), bed.service).sequence(ISN).flags(SYN);
            syn.options(&SYN_OPTIONS).bytes()
        })?;
        answers.iter().map(|answer| Opened::read(answer).context("no answer to a SYN")).collect()
    }

    /// The first segment behind the handshake.
    fn segment(&self, port: u16, opened: Opened) -> Frame {
        let frame = Frame::tcp(SocketAddrV4::new(self.client, port), self.service).options(&opened.options());
        frame.sequence(ISN + 1).acknowledgement(opened.isn.wrapping_add(1))
    }

    fn answer(&self, port: u16, opened: Opened, flags: u8) -> Vec<u8> {
        let inner =
            Frame::tcp(self.service, SocketAddrV4::new(self.client, port)).options(&opened.options()).flags(flags);
        let inner =
            inner.sequence(opened.isn.wrapping_add(1)).payload("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let seal = pair::seal(1, 0);
        let tunnel = Tunnel {
            destination_mac: [0; 6],
            source_mac: [0; 6],
            from: self.peer,
            to: *self.service.ip(),
            source_port: 0xc001,
            kind: 2,
            epoch: seal.epoch as u16,
            tag: seal.token,
        };
        tunnel.carry(&inner.packet(), &[])
    }

    fn time(
        &mut self,
        name: &'static str,
        verdict: Verdict,
        frame: impl Fn(&Self, usize, u16) -> Vec<u8>,
    ) -> Result<()> {
        self.time_answers(name, verdict, frame).map(drop)
    }

    /// Runs the program on a packet of each connection and notes what one took; all must come to this verdict.
    fn time_answers(
        &mut self,
        name: &'static str,
        verdict: Verdict,
        frame: impl Fn(&Self, usize, u16) -> Vec<u8>,
    ) -> Result<Vec<Vec<u8>>> {
        let frames: Vec<Vec<u8>> = ports().enumerate().map(|(i, port)| frame(self, i, port)).collect();
        let count = |bed: &Self| Ok::<_, anyhow::Error>(bed.tables.verdicts()?[verdict.number() as usize].1);
        let (packets, info) = (count(self)?, self.program.info()?);
        let answers: Vec<_> = frames.iter().map(|frame| self.run(frame)).collect::<Result<_>>()?;
        let now = self.program.info()?;
        let packets = count(self)? - packets;
        // The network is never quite silent.
        ensure!(packets >= u64::from(CONNECTIONS), "{name}: {packets} of {CONNECTIONS} came to {verdict:?}");
        let ns = now.run_time().saturating_sub(info.run_time()).as_nanos() as f64;
        self.times.push((name, ns / (now.run_count() - info.run_count()) as f64));
        Ok(answers)
    }

    fn run(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let context: Vec<u8> =
            [0, frame.len() as u32, 0, self.ifindex, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut out = vec![0; 2048];
        let result = self.program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        })?;
        out.truncate(result.data_size_out as usize);
        Ok(out)
    }
}
