//! A flood of SYNs with forged sources, sent from a namespace as fast as one thread can.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use nix::sys::socket::{MsgFlags, send};

use crate::{
    link::packet_socket,
    netns::Entrance,
    network::Host,
    packet::{Frame, SYN},
};

/// 198.18.0.0/15, the networks for benchmarks (RFC 2544).
const SOURCES: u32 = 0xc612_0000;
/// For the queue of the interface to empty.
const FULL: Duration = Duration::from_millis(1);

pub struct Flood {
    frames: Vec<Vec<u8>>,
}

impl Flood {
    /// So many different SYNs from one host to a service on another.
    pub fn new(from: &Host, to: &Host, port: u16, count: u32) -> Result<Self> {
        let (source_mac, target_mac) = (mac(from)?, mac(to)?);
        let service = SocketAddrV4::new(to.address, port);
        let frame = |n: u32| {
            let from = SocketAddrV4::new(Ipv4Addr::from(SOURCES + n / 4), 1024 + (n % 60_000) as u16);
            Frame::tcp(from, service).macs(target_mac, source_mac).sequence(n).flags(SYN).bytes()
        };
        Ok(Self { frames: (0..count).map(frame).collect() })
    }

    /// Sends the frames, over and over, for as long as `go_on` says of the number sent; returns that number.
    pub fn send(&self, from: &Entrance, go_on: impl Fn(u64) -> bool + Sync) -> Result<u64> {
        from.enter(|| {
            let (socket, mut sent) = (packet_socket(Host::INTERFACE)?, 0);
            for frame in self.frames.iter().cycle() {
                if !go_on(sent) {
                    break;
                }
                while send(socket.as_raw_fd(), frame, MsgFlags::empty()).is_err() {
                    thread::sleep(FULL);
                }
                sent += 1;
            }
            Ok(sent)
        })?
    }
}

/// Link-layer address of a host.
fn mac(host: &Host) -> Result<[u8; 6]> {
    let text = host.namespace.run(&format!("cat /sys/class/net/{}/address", Host::INTERFACE))?;
    let bytes: Result<Vec<u8>, _> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    let bytes = bytes.with_context(|| format!("no link-layer address: {text:?}"))?;
    bytes.try_into().map_err(|_| anyhow!("no link-layer address: {text:?}"))
}
