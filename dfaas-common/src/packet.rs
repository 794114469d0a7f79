//! Header layouts. All have alignment 1, so a reference into a packet is always valid.

mod segment;
mod wire;

use crate::address::AddressV4;
pub use segment::{Segment, is_vlan_tagged};
pub use wire::{Be16, Be32, Be64, Mac, Plain, Wire};

pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_VLAN: u16 = 0x8100;
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
pub const PROTOCOL_TCP: u8 = 6;
pub const PROTOCOL_UDP: u8 = 17;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

pub const ETH_LEN: usize = size_of::<Eth>();
pub const IPV4_LEN: usize = size_of::<Ipv4>();
/// Offset of the TCP header in an untagged Ethernet frame with an IPv4 header without options.
pub const TCP_AT: usize = ETH_LEN + IPV4_LEN;
/// Offset of the TCP options in the same frame.
pub const OPTIONS_AT: usize = TCP_AT + size_of::<Tcp>();

/// `IPv4`: "don't fragment" set, offset 0.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// `IPv4`: "more fragments" and the fragment offset. Non-zero: the packet is a fragment.
pub const FRAGMENT_MASK: u16 = 0x3fff;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Eth {
    pub destination: [u8; 6],
    pub source: [u8; 6],
    pub ethertype: Be16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ipv4 {
    pub version_ihl: u8,
    pub tos: u8,
    pub total_len: Be16,
    pub id: Be16,
    pub fragment: Be16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: Be16,
    pub source: Be32,
    pub destination: Be32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tcp {
    pub source: Be16,
    pub destination: Be16,
    pub sequence: Be32,
    pub acknowledgement: Be32,
    /// Header length in 32-bit words, in the upper four bits.
    pub data_offset: u8,
    pub flags: u8,
    pub window: Be16,
    pub checksum: Be16,
    pub urgent: Be16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Udp {
    pub source: Be16,
    pub destination: Be16,
    pub len: Be16,
    pub checksum: Be16,
}

/// A TCP segment with its IPv4 header, without options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct IpTcp {
    pub ip: Ipv4,
    pub tcp: Tcp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct EthIpTcp {
    pub eth: Eth,
    pub ip: Ipv4,
    pub tcp: Tcp,
}

const _: () = {
    assert!(size_of::<Eth>() == 14 && size_of::<Ipv4>() == 20 && size_of::<Tcp>() == 20 && size_of::<Udp>() == 8);
    assert!(size_of::<EthIpTcp>() == 54 && align_of::<EthIpTcp>() == 1);
};

// SAFETY: all fields are big-endian byte arrays or bytes: alignment 1, no padding, every bit pattern valid.
unsafe impl Wire for Eth {}
// SAFETY: as above.
unsafe impl Wire for Ipv4 {}
// SAFETY: as above.
unsafe impl Wire for Tcp {}
// SAFETY: as above.
unsafe impl Wire for Udp {}
// SAFETY: as above.
unsafe impl Wire for IpTcp {}
// SAFETY: as above.
unsafe impl Wire for EthIpTcp {}

impl Eth {
    /// Addresses of an IPv4 frame.
    #[inline(always)]
    pub fn set(&mut self, destination: Mac, source: Mac) {
        self.destination = destination.bytes();
        self.source = source.bytes();
        self.ethertype = Be16::new(ETHERTYPE_IPV4);
    }
}

impl Ipv4 {
    /// A header of ours: no options, not to be fragmented, checksum still 0.
    #[inline(always)]
    pub fn new(protocol: u8, total_len: u16, source: AddressV4, destination: AddressV4) -> Self {
        Self {
            version_ihl: 0x45,
            total_len: Be16::new(total_len),
            fragment: Be16::new(DONT_FRAGMENT),
            ttl: 64,
            protocol,
            source: Be32::from_raw(source.raw()),
            destination: Be32::from_raw(destination.raw()),
            ..Self::default()
        }
    }

    #[inline(always)]
    pub fn sender(&self) -> AddressV4 {
        AddressV4::from_raw(self.source.raw())
    }

    #[inline(always)]
    pub fn receiver(&self) -> AddressV4 {
        AddressV4::from_raw(self.destination.raw())
    }
}
