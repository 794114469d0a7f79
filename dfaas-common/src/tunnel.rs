//! The tunnel between nodes: IPv4, UDP, Geneve (RFC 8926) with one option of the experimental class, then the client's
//! packet from its IPv4 header on. 52 bytes.

use crate::{
    address::AddressV4,
    checksum,
    packet::{Be16, Be64, ETHERTYPE_IPV4, Ipv4, PROTOCOL_UDP, Udp, Wire},
    siphash::{Key, Stream},
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

/// The longest packet that can have a tag, bytes: more than jumbo frames hold, less than the verifier lets a packet's reader see.
pub const MAX_TAGGED: u32 = 16_000;

/// Where the last word of a packet of this length begins that is not whole, if there is one: it overlaps the one before, so that
/// nothing is read behind the packet.
#[inline(always)]
pub const fn last_word(len: u32) -> Option<u32> {
    if len.is_multiple_of(8) { None } else { Some(len - 8) }
}

/// What a tag covers before the packet itself.
#[inline(always)]
pub const fn preamble(kind: u8, marks: u8, epoch: u16, len: u32) -> u64 {
    (len as u64) << 32 | (epoch as u64) << 16 | (marks as u64) << 8 | kind as u64
}

/// Tag of a FIRST or BOUNCE: over kind, marks, epoch, and the whole inner packet from its IPv4 header on, which is never changed
/// on the way. The receiver makes a socket by what is in it, and runs a call. `inner` is eight bytes long at least.
///
/// The programs walk the packet themselves (`dfaas-ebpf/src/xdp/seal.rs`); this is for everybody else.
pub fn tag(key: Key, kind: u8, marks: u8, epoch: u16, inner: &[u8]) -> u64 {
    let len = inner.len() as u32;
    let mut stream = Stream::new(key.0, key.1);
    stream.take(preamble(kind, marks, epoch, len));
    let (words, _) = inner.as_chunks::<8>();
    for word in words {
        stream.take(u64::from_le_bytes(*word));
    }
    if last_word(len).is_some()
        && let Some(word) = inner.last_chunk::<8>()
    {
        stream.take(u64::from_le_bytes(*word));
    }
    stream.finish()
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
    fn a_tag_covers_every_bit() {
        let key = Key(1, 2);
        for len in [40, 41, 47, 48, 200, 1449] {
            let inner: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let good = tag(key, FIRST, 0, 7, &inner);
            for bit in 0..8 * len {
                let mut other = inner.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(good, tag(key, FIRST, 0, 7, &other), "bit {bit} of {len} bytes");
            }
            assert_ne!(good, tag(key, BOUNCE, 0, 7, &inner));
            assert_ne!(good, tag(key, FIRST, RENEWED, 7, &inner));
            assert_ne!(good, tag(key, FIRST, 0, 8, &inner));
            assert_ne!(good, tag(Key(1, 3), FIRST, 0, 7, &inner));
            assert_ne!(good, tag(key, FIRST, 0, 7, &inner[..len - 1]));
        }
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
