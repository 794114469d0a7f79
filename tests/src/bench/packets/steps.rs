//! The packets of two thousand connections, each kind of them for all before the next.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result};
use dfaas_common::verdict::Verdict;

use super::{
    LOCAL,
    bed::{Bed, ports},
};
use crate::{
    bench::calls::{FORWARDED, REFUSED},
    packet::{ACK, FIN, Frame, PSH, SYN, Tunnel},
    pair,
};

const ISN: u32 = 1_000_000;

/// Who takes part.
#[derive(Clone, Copy)]
pub(super) struct Cast {
    pub(super) client: Ipv4Addr,
    pub(super) service: SocketAddrV4,
    pub(super) peer: Ipv4Addr,
}

/// What node A has put into the tunnel.
#[derive(Default)]
pub(super) struct Handed {
    pub(super) first: Vec<Vec<u8>>,
    pub(super) later: Vec<Vec<u8>>,
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

/// At node A: everything that a connection handed to a peer consists of.
pub(super) fn forward(bed: &mut Bed, cast: Cast) -> Result<Handed> {
    let elsewhere = SocketAddrV4::new(cast.peer, 80);
    bed.time("not ours", Verdict::NotSteered, |_, port| {
        Frame::tcp(SocketAddrV4::new(cast.client, port), elsewhere).bytes()
    })?;
    let opened = handshakes(bed, cast, "SYN answered")?;
    let request = cast.request(FORWARDED);
    let later = |i: usize, port, flags| {
        cast.segment(port, opened[i].behind(100)).sequence(ISN + 100).flags(flags).payload(&request).bytes()
    };
    bed.time("bare ACK, no flow", Verdict::HandshakeAck, |i, port| cast.segment(port, opened[i]).bytes())?;
    let handed = Handed {
        first: bed.time("first data packet, to a peer", Verdict::FirstToPeer, |i, port| {
            cast.segment(port, opened[i]).flags(ACK | PSH).payload(&request).bytes()
        })?,
        later: bed.time("later packet, to a peer", Verdict::LaterToPeer, |i, port| later(i, port, ACK | PSH))?,
    };
    bed.time("answer of a peer", Verdict::Returned, |i, port| cast.answer(port, opened[i], ACK | PSH))?;
    bed.time("FIN of a peer", Verdict::Returned, |i, port| cast.answer(port, opened[i], ACK | FIN))?;
    bed.time("FIN to a peer, the last", Verdict::LaterToPeer, |i, port| later(i, port, ACK | FIN))?;
    Ok(handed)
}

/// At node A: connections that it serves itself.
pub(super) fn local(bed: &mut Bed, cast: Cast) -> Result<()> {
    let opened = handshakes(bed, cast, "SYN answered")?;
    let request = cast.request(LOCAL);
    bed.time("first data packet, local", Verdict::FirstToLocal, |i, port| {
        cast.segment(port, opened[i]).flags(ACK | PSH).payload(&request).bytes()
    })?;
    bed.time("later packet, local", Verdict::LaterToLocal, |i, port| {
        cast.segment(port, opened[i].behind(100)).sequence(ISN + 100).payload(&request).bytes()
    })?;
    Ok(())
}

pub(super) fn refuse(bed: &mut Bed, cast: Cast) -> Result<()> {
    let opened = handshakes(bed, cast, "SYN answered")?;
    let request = cast.request(REFUSED);
    bed.time("first data packet, refused", Verdict::FirstRefused, |i, port| {
        cast.segment(port, opened[i]).flags(ACK | PSH).payload(&request).bytes()
    })?;
    bed.time("ACK of a refusal", Verdict::RefusalDone, |i, port| {
        cast.segment(port, opened[i].behind(100)).sequence(ISN + 100).bytes()
    })?;
    Ok(())
}

/// At node B: out of the tunnel. The connections have no sockets there, so later packets are only unpacked.
pub(super) fn take(bed: &mut Bed, handed: &Handed) -> Result<()> {
    bed.time("first packet from a peer", Verdict::HandoffAccepted, |i, _| handed.first[i].clone())?;
    bed.time("later packet from a peer", Verdict::LaterFromPeer, |i, _| handed.later[i].clone())?;
    Ok(())
}

/// SYNs from all ports.
fn handshakes(bed: &mut Bed, cast: Cast, name: &'static str) -> Result<Vec<Opened>> {
    bed.forget_connections()?;
    let answers = bed.time(name, Verdict::SynAnswered, |_, port| {
        let syn = Frame::tcp(SocketAddrV4::new(cast.client, port), cast.service).sequence(ISN).flags(SYN);
        syn.options(&SYN_OPTIONS).bytes()
    })?;
    debug_assert_eq!(answers.len(), ports().len());
    answers.iter().map(|answer| Opened::read(answer).context("no answer to a SYN")).collect()
}

impl Cast {
    fn request(self, function: &str) -> String {
        format!("GET /function/{function} HTTP/1.1\r\nHost: {}\r\n\r\n", self.service.ip())
    }

    /// The first segment behind the handshake.
    fn segment(self, port: u16, opened: Opened) -> Frame {
        let frame = Frame::tcp(SocketAddrV4::new(self.client, port), self.service).options(&opened.options());
        frame.sequence(ISN + 1).acknowledgement(opened.isn.wrapping_add(1))
    }

    fn answer(self, port: u16, opened: Opened, flags: u8) -> Vec<u8> {
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
            marks: 0,
            epoch: seal.epoch as u16,
            tag: seal.token,
        };
        tunnel.carry(&inner.packet(), &[])
    }
}
