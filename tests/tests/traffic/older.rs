//! Client ports that come back with older numbers than the connection before had: of another device behind the same NAT,
//! or of a device that was switched off in between. The clients here are packets of our own making.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use dfaas_tests::{
    link::packet_socket,
    network::Host,
    packet::{ACK, FIN, Frame, PSH, SYN},
};
use nix::sys::socket::{MsgFlags, recv, send};

use crate::bed::Bed;

const PORTS: u16 = 20;
const BACK: u32 = 1_000_000;
/// Packets are sent again after this.
const AGAIN: Duration = Duration::from_millis(300);
/// A call that finds the old connection in its way hangs until TIME_WAIT ends, after a minute.
const PATIENCE: Duration = Duration::from_secs(25);
/// Offset of the TCP header in a frame.
const TCP_AT: usize = 34;

struct Client {
    socket: OwnedFd,
    macs: ([u8; 6], [u8; 6]),
    from: SocketAddrV4,
    to: SocketAddrV4,
    stamped: bool,
}

/// A segment that came.
struct Came {
    sequence: u32,
    flags: u8,
    stamp: u32,
    payload: Vec<u8>,
}

impl Client {
    fn frame(&self, clock: u32, echo: u32) -> Frame {
        let frame = Frame::tcp(self.from, self.to).macs(self.macs.0, self.macs.1);
        if !self.stamped {
            return frame;
        }
        frame.options(&[&[1, 1, 8, 10][..], &clock.to_be_bytes(), &echo.to_be_bytes()].concat())
    }

    fn send(&self, frame: &Frame) -> Result<()> {
        send(self.socket.as_raw_fd(), &frame.bytes(), MsgFlags::empty())?;
        Ok(())
    }

    /// The next segment for this client; the frame is sent again and again until one comes.
    fn ask(&self, frame: &Frame, deadline: Instant) -> Result<Came> {
        loop {
            self.send(frame)?;
            let again = Instant::now() + AGAIN;
            while Instant::now() < again {
                match self.receive() {
                    Some(came) => return Ok(came),
                    None => thread::sleep(Duration::from_millis(1)),
                }
            }
            ensure!(Instant::now() < deadline, "nothing comes for {}", self.from);
        }
    }

    fn receive(&self) -> Option<Came> {
        let mut bytes = [0; 2048];
        let len = recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::empty()).ok()?;
        let frame = bytes.get(..len)?;
        let word = |at: usize| frame.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let addressed = frame.get(12..14)? == [8, 0]
            && frame.get(26..34)? == [self.to.ip().octets(), self.from.ip().octets()].concat()
            && frame.get(TCP_AT + 2..TCP_AT + 4)? == self.from.port().to_be_bytes();
        if !addressed {
            return None;
        }
        let payload_at = TCP_AT + usize::from(frame[TCP_AT + 12] >> 4) * 4;
        let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let options = frame.get(TCP_AT + 20..payload_at)?;
        let stamp_at = options.windows(2).position(|kind| kind == [8, 10]).map(|at| TCP_AT + 20 + at + 2);
        Some(Came {
            sequence: word(TCP_AT + 4)?,
            flags: frame[TCP_AT + 13],
            stamp: stamp_at.and_then(word).unwrap_or(0),
            payload: frame.get(payload_at..end)?.to_vec(),
        })
    }

    /// One call, to the end of the connection; the answer, and the packet that called.
    fn call(&self, function: &str, isn: u32, clock: u32) -> Result<(String, Frame)> {
        let deadline = Instant::now() + PATIENCE;
        let answered = loop {
            let syn = self.frame(clock, 0).flags(SYN).sequence(isn);
            let came = self.ask(&syn, deadline)?;
            // Of the old connection something may come late.
            if came.flags & SYN != 0 {
                break came;
            }
        };
        let port = self.from.port();
        let path = Bed::path(function);
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: n1\r\nConnection: close\r\nContent-Length: 5\r\n\r\n{port:05}");
        let mut expected = answered.sequence.wrapping_add(1);
        let first = self.frame(clock + 1, answered.stamp).sequence(isn + 1).acknowledgement(expected);
        let first = first.flags(PSH | ACK).payload(request);
        let mut next = first.clone();
        let mut text = String::new();
        loop {
            let came = self.ask(&next, deadline)?;
            if came.sequence != expected || came.flags & SYN != 0 {
                continue;
            }
            text.push_str(&String::from_utf8_lossy(&came.payload));
            expected = expected.wrapping_add(came.payload.len() as u32);
            let ended = came.flags & FIN != 0;
            let ack = self.frame(clock + 2, came.stamp).sequence(first.end());
            if ended {
                self.send(&ack.acknowledgement(expected.wrapping_add(1)).flags(FIN | ACK))?;
                return Ok((text, first));
            }
            // Sent when nothing more has come: an acknowledgement draws no answer of its own.
            if !came.payload.is_empty() {
                next = ack.acknowledgement(expected).flags(ACK);
            }
        }
    }
}

fn ports_come_back(place: XdpPlace, stamped: bool) -> Result<()> {
    let bed = Bed::new(2, place)?;
    let SocketAddr::V4(to) = bed.service() else { unreachable!("the service is IPv4") };
    // No stack of this address answers what it does not know.
    let [a, b, c, _] = to.ip().octets();
    let address = Ipv4Addr::new(a, b, c, 240);
    let mac_of = |node: usize| {
        bed.federation.host(node).namespace.run(&format!("cat /sys/class/net/{}/address", Host::INTERFACE))
    };
    let parse = |text: String| -> [u8; 6] {
        let bytes: Vec<u8> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    };
    let (node_mac, client_mac) = (mac_of(0)?, mac_of(2)?);
    for node in [0, 1] {
        let entry =
            format!("ip neigh replace {address} lladdr {} dev {} nud permanent", client_mac.trim(), Host::INTERFACE);
        bed.federation.host(node).namespace.run(&entry)?;
    }
    let macs = (parse(node_mac), parse(client_mac));
    for (function, node) in [("near", 0), ("far", 1)] {
        let (started, replaced) = (bed.started(node, function)?, bed.verdict(node, Verdict::OldSocketReplaced)?);
        for port in 31_000..31_000 + PORTS {
            bed.client.enter(|| {
                let socket = packet_socket(Host::INTERFACE)?;
                let client = Client { socket, macs, from: SocketAddrV4::new(address, port), to, stamped };
                let (isn, clock) = (0x4000_0000 + u32::from(port), 0x5000_0000);
                let (text, first) = client.call(function, isn, clock)?;
                ensure!(text.contains(" 200 ") && text.ends_with(&format!("{port:05}")), "first call: {text:?}");
                // It was late, or somebody plays it again.
                client.send(&first)?;
                thread::sleep(Duration::from_millis(20));
                let (text, first) = client.call(function, isn - BACK, clock - BACK)?;
                ensure!(text.contains(" 200 ") && text.ends_with(&format!("{port:05}")), "second call: {text:?}");
                client.send(&first)
            })??;
        }
        let replaced = bed.verdict(node, Verdict::OldSocketReplaced)? - replaced;
        ensure!(replaced >= u64::from(PORTS) / 2, "{replaced} old sockets in the way\n{}", bed.verdicts());
        let started = bed.started(node, function)? - started;
        ensure!(started == 2 * u64::from(PORTS), "{started} calls of {function} for {} requests", 2 * PORTS);
    }
    Ok(())
}

#[test]
fn a_port_that_comes_back_with_older_numbers_is_served_at_once() {
    ports_come_back(XdpPlace::Native, true).unwrap();
}

#[test]
fn a_port_that_comes_back_with_older_numbers_and_no_clock_is_served_at_once() {
    ports_come_back(XdpPlace::Generic, false).unwrap();
}
