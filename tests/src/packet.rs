//! Frames for tests, built byte by byte from the RFCs and checked by routines of their own: nothing here comes from
//! `dfaas-common`, so that a mistake there shows.

mod check;
mod tunnel;

use std::net::{Ipv4Addr, SocketAddrV4};

pub use check::{checksum, difference, verify};
pub use tunnel::{GENEVE_AT, INNER_AT, Tunnel, UDP_AT};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// Offset of the IPv4 header in an untagged frame.
pub const IP_AT: usize = 14;

/// A TCP segment over IPv4 and Ethernet. Lengths and checksums are right unless they are overridden.
#[derive(Clone, Debug)]
pub struct Frame {
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    tags: Vec<u16>,
    ethertype: u16,
    version_ihl: Option<u8>,
    total_len: Option<u16>,
    id: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    ip_options: Vec<u8>,
    from: SocketAddrV4,
    to: SocketAddrV4,
    sequence: u32,
    acknowledgement: u32,
    data_offset: Option<u8>,
    flags: u8,
    window: u16,
    tcp_options: Vec<u8>,
    payload: Vec<u8>,
    transport: Option<Vec<u8>>,
    padded_to: usize,
}

impl Frame {
    /// As a client's stack sends it, one router behind it.
    pub fn tcp(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        Self {
            destination_mac: [0; 6],
            source_mac: [0; 6],
            tags: Vec::new(),
            ethertype: 0x0800,
            version_ihl: None,
            total_len: None,
            id: 0x1234,
            fragment: 0x4000,
            ttl: 63,
            protocol: 6,
            ip_options: Vec::new(),
            from,
            to,
            sequence: 0,
            acknowledgement: 0,
            data_offset: None,
            flags: ACK,
            window: 502,
            tcp_options: Vec::new(),
            payload: Vec::new(),
            transport: None,
            padded_to: 0,
        }
    }

    #[must_use]
    pub fn macs(mut self, destination: [u8; 6], source: [u8; 6]) -> Self {
        self.destination_mac = destination;
        self.source_mac = source;
        self
    }

    /// Puts a VLAN tag in front of the ethertype (0x8100, or 0x88a8 for an outer one), outermost first.
    #[must_use]
    pub fn tagged(mut self, protocol: u16) -> Self {
        self.tags.push(protocol);
        self
    }

    #[must_use]
    pub fn ethertype(mut self, ethertype: u16) -> Self {
        self.ethertype = ethertype;
        self
    }

    #[must_use]
    pub fn version_ihl(mut self, byte: u8) -> Self {
        self.version_ihl = Some(byte);
        self
    }

    #[must_use]
    pub fn total_len(mut self, bytes: u16) -> Self {
        self.total_len = Some(bytes);
        self
    }

    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Flags and offset as one field.
    #[must_use]
    pub fn fragment(mut self, field: u16) -> Self {
        self.fragment = field;
        self
    }

    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// A multiple of four bytes.
    #[must_use]
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip_options = options.to_vec();
        self
    }

    /// Other bytes instead of the TCP segment.
    #[must_use]
    pub fn transport(mut self, protocol: u8, bytes: &[u8]) -> Self {
        self.protocol = protocol;
        self.transport = Some(bytes.to_vec());
        self
    }

    #[must_use]
    pub fn from(mut self, from: SocketAddrV4) -> Self {
        self.from = from;
        self
    }

    #[must_use]
    pub fn to(mut self, to: SocketAddrV4) -> Self {
        self.to = to;
        self
    }

    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        self.sequence = number;
        self
    }

    #[must_use]
    pub fn acknowledgement(mut self, number: u32) -> Self {
        self.acknowledgement = number;
        self
    }

    /// Does it acknowledge anything behind a SYN-ACK of this sequence number?
    pub fn acknowledges(&self, isn: u32) -> bool {
        self.flags & ACK != 0 && self.acknowledgement != isn.wrapping_add(1)
    }

    /// In 32-bit words.
    #[must_use]
    pub fn data_offset(mut self, words: u8) -> Self {
        self.data_offset = Some(words);
        self
    }

    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    #[must_use]
    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    /// Filled up with zeroes to a multiple of four bytes.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.tcp_options = options.to_vec();
        self.tcp_options.resize(options.len().next_multiple_of(4), 0);
        self
    }

    #[must_use]
    pub fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    /// Ethernet padding, to this length of the frame.
    #[must_use]
    pub fn padded_to(mut self, bytes: usize) -> Self {
        self.padded_to = bytes;
        self
    }

    /// What our own side answers, as yet without options and payload: all addresses swapped, a header of its own.
    #[must_use]
    pub fn answered(&self) -> Self {
        Self::tcp(self.to, self.from).macs(self.source_mac, self.destination_mac).id(0).ttl(64)
    }

    /// Sequence number behind this segment.
    pub fn end(&self) -> u32 {
        let marks = u32::from(self.flags & FIN != 0) + u32::from(self.flags & SYN != 0);
        self.sequence.wrapping_add(self.payload.len() as u32).wrapping_add(marks)
    }

    /// The whole frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac, self.source_mac].concat();
        for tag in &self.tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend(self.ethertype.to_be_bytes());
        frame.extend(self.packet());
        if frame.len() < self.padded_to {
            frame.resize(self.padded_to, 0xdd);
        }
        frame
    }

    /// From the IPv4 header on.
    pub fn packet(&self) -> Vec<u8> {
        let segment = self.transport.clone().unwrap_or_else(|| self.segment());
        let header_len = 20 + self.ip_options.len();
        let total_len = self.total_len.unwrap_or((header_len + segment.len()) as u16);
        let ip = Header {
            version_ihl: self.version_ihl.unwrap_or(0x40 | (header_len / 4) as u8),
            total_len,
            id: self.id,
            fragment: self.fragment,
            ttl: self.ttl,
            protocol: self.protocol,
            source: *self.from.ip(),
            destination: *self.to.ip(),
        };
        [ip.bytes(&self.ip_options), segment].concat()
    }

    fn segment(&self) -> Vec<u8> {
        let header_len = 20 + self.tcp_options.len();
        let mut segment = Vec::new();
        segment.extend(self.from.port().to_be_bytes());
        segment.extend(self.to.port().to_be_bytes());
        segment.extend(self.sequence.to_be_bytes());
        segment.extend(self.acknowledgement.to_be_bytes());
        segment.extend([self.data_offset.unwrap_or((header_len / 4) as u8) << 4, self.flags]);
        segment.extend(self.window.to_be_bytes());
        segment.extend([0; 4]);
        segment.extend(&self.tcp_options);
        segment.extend(&self.payload);
        let sum = check::tcp_checksum(*self.from.ip(), *self.to.ip(), &segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }
}

/// An IPv4 header (RFC 791, 3.1).
struct Header {
    version_ihl: u8,
    total_len: u16,
    id: u16,
    fragment: u16,
    ttl: u8,
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Header {
    fn bytes(&self, options: &[u8]) -> Vec<u8> {
        let mut header = vec![self.version_ihl, 0];
        header.extend(self.total_len.to_be_bytes());
        header.extend(self.id.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(options);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }
}

/// The frame with some bytes replaced.
#[must_use]
pub fn patched(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}
