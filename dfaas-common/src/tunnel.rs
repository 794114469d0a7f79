//! The tunnel between nodes: IPv4, UDP, Geneve (RFC 8926) with one option of the experimental class, then the client's
//! packet from its IPv4 header on. 52 bytes.

use crate::{
    address::AddressV4,
    checksum,
    packet::{Be16, Be64, ETHERTYPE_IPV4, IpTcp, Ipv4, PROTOCOL_UDP, Udp, Wire},
    peer::Seal,
    siphash::Key,
};

/// IANA's port for Geneve.
pub const PORT: u16 = 6081;
/// First option class for experiments (RFC 8926, 7).
pub const OPTION_CLASS: u16 = 0xff00;
pub const OPTION_TYPE: u8 = 1;
/// Option data in 32-bit words.
const OPTION_WORDS: u8 = 3;

/// First packet of a connection: the receiver makes a socket for any client address, so it must be unforgeable.
pub const FIRST: u8 = 1;
/// Any later packet, both ways: reaches existing sockets only.
pub const LATER: u8 = 2;
/// A FIRST sent back untouched.
pub const BOUNCE: u8 = 3;

/// Mark of a FIRST: its client port is known to have had another connection before.
pub const RENEWED: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Geneve {
    /// Version 0; option length in words, including the option header.
    pub version_options: u8,
    pub flags: u8,
    pub protocol: Be16,
    pub vni: [u8; 4],
    pub class: Be16,
    pub option_type: u8,
    pub option_words: u8,
    pub kind: u8,
    /// [`RENEWED`] or 0.
    pub marks: u8,
    pub epoch: Be16,
    pub tag: Be64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Outer {
    pub ip: Ipv4,
    pub udp: Udp,
    pub geneve: Geneve,
}

pub const OUTER_LEN: usize = size_of::<Outer>();
const _: () = assert!(OUTER_LEN == 52 && align_of::<Outer>() == 1);

// SAFETY: big-endian byte arrays and bytes: alignment 1, no padding, every bit pattern valid.
unsafe impl Wire for Geneve {}
// SAFETY: as above.
unsafe impl Wire for Outer {}

impl Geneve {
    /// Is this a packet of ours?
    #[inline(always)]
    pub fn is_ours(&self) -> bool {
        self.version_options == 1 + OPTION_WORDS
            && self.protocol.get() == ETHERTYPE_IPV4
            && self.class.get() == OPTION_CLASS
            && self.option_type == OPTION_TYPE
            && self.option_words & 0x1f == OPTION_WORDS
            && matches!(self.kind, FIRST | LATER | BOUNCE)
    }
}

/// Tag of a FIRST or BOUNCE: over addresses, ports, sequence numbers, marks and kind.
#[inline(always)]
pub fn tag(key: Key, kind: u8, marks: u8, inner: &IpTcp) -> u64 {
    key.hash3(
        u64::from(inner.ip.source.raw()) << 32 | u64::from(inner.ip.destination.raw()),
        u64::from(inner.tcp.source.raw()) << 48
            | u64::from(inner.tcp.destination.raw()) << 32
            | u64::from(inner.tcp.sequence.raw()),
        u64::from(inner.tcp.acknowledgement.raw()) << 32 | u64::from(marks) << 8 | u64::from(kind),
    )
}

/// What proves a packet of this kind under this seal.
#[inline(always)]
pub fn proof(seal: &Seal, kind: u8, marks: u8, inner: &IpTcp) -> u64 {
    if kind == LATER { seal.token } else { tag(seal.key, kind, marks, inner) }
}

/// The outer headers; `flow_hash` spreads flows over receive queues (RFC 8926, 3.3);
/// `inner_len` in bytes from the inner IPv4 header on.
#[inline(always)]
pub fn outer(
    source: AddressV4,
    destination: AddressV4,
    flow_hash: u16,
    inner_len: u16,
    kind: u8,
    epoch: u32,
    tag: u64,
) -> Outer {
    let len = inner_len + OUTER_LEN as u16;
    let mut ip = Ipv4::new(PROTOCOL_UDP, len, source, destination);
    checksum::set_ipv4(&mut ip);
    Outer {
        ip,
        // Checksum 0: none (RFC 768); the inner segment has its own.
        udp: Udp {
            source: Be16::new(0xc000 | flow_hash & 0x3fff),
            destination: Be16::new(PORT),
            len: Be16::new(len - 20),
            checksum: Be16::default(),
        },
        geneve: Geneve {
            version_options: 1 + OPTION_WORDS,
            protocol: Be16::new(ETHERTYPE_IPV4),
            class: Be16::new(OPTION_CLASS),
            option_type: OPTION_TYPE,
            option_words: OPTION_WORDS,
            kind,
            epoch: Be16::new(epoch as u16),
            tag: Be64::new(tag),
            ..Geneve::default()
        },
    }
}

/// Can this address be a client's? Not if it is of "this network", loopback, link-local, multicast or
/// broadcast (RFC 6890).
#[inline(always)]
pub fn is_martian(source: AddressV4) -> bool {
    let address = source.bits();
    let first = address >> 24;
    first == 0 || first == 127 || first >= 224 || address >> 16 == 0xa9fe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Be32, Tcp};

    const fn v4(raw: u32) -> AddressV4 {
        AddressV4::from_raw(raw)
    }

    #[test]
    fn a_header_of_ours_is_recognised_and_any_other_byte_is_not() {
        let good = outer(v4(1), v4(2), 3, 100, LATER, 5, 6).geneve;
        assert!(good.is_ours());
        assert!(!Geneve { version_options: 0x44, ..good }.is_ours());
        assert!(!Geneve { version_options: 0, ..good }.is_ours());
        assert!(!Geneve { protocol: Be16::new(0x6558), ..good }.is_ours());
        assert!(!Geneve { class: Be16::new(0x0102), ..good }.is_ours());
        assert!(!Geneve { option_type: 2, ..good }.is_ours());
        assert!(!Geneve { option_words: 1, ..good }.is_ours());
        assert!(!Geneve { kind: 0, ..good }.is_ours());
        assert!(!Geneve { kind: 4, ..good }.is_ours());
    }

    #[test]
    fn lengths_and_checksum_fit() {
        let o = outer(v4(1), v4(2), 0xffff, 1440, FIRST, 1, 0);
        assert_eq!((o.ip.total_len.get(), o.udp.len.get()), (1492, 1472));
        assert_eq!(checksum::fold(checksum::sum(&o.ip)), 0);
        assert!(o.udp.source.get() >= 0xc000);
    }

    #[test]
    fn a_tag_covers_every_field_it_should() {
        let key = Key(1, 2);
        let inner = IpTcp {
            ip: Ipv4::new(6, 60, v4(3), v4(4)),
            tcp: Tcp { source: Be16::new(5), sequence: Be32::new(6), acknowledgement: Be32::new(7), ..Tcp::default() },
        };
        let good = tag(key, FIRST, 0, &inner);
        let changed = |change: fn(&mut IpTcp)| {
            let mut other = inner;
            change(&mut other);
            tag(key, FIRST, 0, &other)
        };
        assert_ne!(good, tag(key, BOUNCE, 0, &inner));
        assert_ne!(good, tag(key, FIRST, RENEWED, &inner));
        assert_ne!(good, tag(Key(1, 3), FIRST, 0, &inner));
        assert_ne!(good, changed(|i| i.ip.source = Be32::new(9)));
        assert_ne!(good, changed(|i| i.ip.destination = Be32::new(9)));
        assert_ne!(good, changed(|i| i.tcp.source = Be16::new(9)));
        assert_ne!(good, changed(|i| i.tcp.destination = Be16::new(9)));
        assert_ne!(good, changed(|i| i.tcp.sequence = Be32::new(9)));
        assert_ne!(good, changed(|i| i.tcp.acknowledgement = Be32::new(9)));
    }

    #[test]
    fn martians() {
        let raw = |a: [u8; 4]| v4(u32::from_ne_bytes(a));
        for bad in [[0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255], [169, 254, 64, 1]] {
            assert!(is_martian(raw(bad)), "{bad:?}");
        }
        for good in [[10, 0, 0, 1], [169, 253, 1, 1], [192, 168, 1, 1], [223, 255, 255, 1]] {
            assert!(!is_martian(raw(good)), "{good:?}");
        }
    }
}
