//! Tunnel packets: UDP and Geneve (RFC 8926) with one option, around an IPv4 packet.

use std::net::Ipv4Addr;

use super::Header;

/// Offsets in an untagged frame.
pub const UDP_AT: usize = 34;
pub const GENEVE_AT: usize = 42;
pub const INNER_AT: usize = 66;

const PORT: u16 = 6081;

/// The outer headers.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    pub destination_mac: [u8; 6],
    pub source_mac: [u8; 6],
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    pub source_port: u16,
    pub kind: u8,
    pub marks: u8,
    pub epoch: u16,
    pub tag: u64,
}

impl Tunnel {
    /// The whole frame. `padding` follows the inner packet and counts in no length field.
    pub fn carry(&self, inner: &[u8], padding: &[u8]) -> Vec<u8> {
        let total_len = (20 + 8 + 24 + inner.len()) as u16;
        let ip = Header {
            version_ihl: 0x45,
            total_len,
            id: 0,
            fragment: 0x4000,
            ttl: 64,
            protocol: 17,
            source: self.from,
            destination: self.to,
        };
        let mut frame = [self.destination_mac, self.source_mac].concat();
        frame.extend([8, 0]);
        frame.extend(ip.bytes(&[]));
        frame.extend(self.source_port.to_be_bytes());
        frame.extend(PORT.to_be_bytes());
        frame.extend((total_len - 20).to_be_bytes());
        // No UDP checksum.
        frame.extend([0, 0]);
        // Version 0, four words of options; no flags; the protocol inside; no network identifier.
        frame.extend([4, 0, 8, 0, 0, 0, 0, 0]);
        // Experimental class, type 1, three words of data.
        frame.extend([0xff, 0, 1, 3, self.kind, self.marks]);
        frame.extend(self.epoch.to_be_bytes());
        frame.extend(self.tag.to_be_bytes());
        frame.extend(inner);
        frame.extend(padding);
        frame
    }
}
