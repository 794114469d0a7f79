//! The Internet checksum (RFC 1071). Sums are kept in native order and folded once.

use crate::address::AddressV4;
use crate::packet::{Be16, Ipv4, PROTOCOL_TCP, Wire};

/// Folds a sum to 16 bits and complements it.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// Sum of a header, as 32-bit words.
#[inline(always)]
pub fn sum<T: Wire>(header: &T) -> u64 {
    const { assert!(size_of::<T>().is_multiple_of(4)) };
    let words = core::ptr::from_ref(header).cast::<[u8; 4]>();
    let mut sum = 0u64;
    let mut i = 0;
    while i < size_of::<T>() / 4 {
        // SAFETY: `Wire` types are plain bytes and i stays inside the header.
        sum += u64::from(u32::from_ne_bytes(unsafe { *words.add(i) }));
        i += 1;
    }
    sum
}

/// Sum of the TCP pseudo-header (RFC 9293, 3.1). `len` of the segment in bytes.
#[inline(always)]
pub fn pseudo_header(source: AddressV4, destination: AddressV4, len: u16) -> u64 {
    u64::from(source.raw())
        + u64::from(destination.raw())
        + u64::from(u16::from(PROTOCOL_TCP).to_be())
        + u64::from(len.to_be())
}

/// Fills in the header checksum.
#[inline(always)]
pub fn set_ipv4(ip: &mut Ipv4) {
    ip.checksum = Be16::default();
    ip.checksum = Be16::from_raw(fold(sum(ip)));
}

/// Sum of any bytes; slow, for user space.
pub fn sum_bytes(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word by word in network order.
    fn by_definition(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn rfc1071_section_3_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)).to_be(), !0xddf2);
        assert_eq!(fold(sum_bytes(&bytes)).to_be(), !0xddf2);
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let mut ip = Ipv4::new(PROTOCOL_TCP, 60, AddressV4::from_raw(0x0a00_0001), AddressV4::from_raw(0x0a00_0002));
        set_ipv4(&mut ip);
        assert_eq!(fold(sum(&ip)), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(bytes in any::<[u8; 40]>(), tail in prop::collection::vec(any::<u8>(), 0..99)) {
            prop_assert_eq!(fold(sum(&bytes)).to_be(), by_definition(&bytes));
            prop_assert_eq!(fold(sum_bytes(&tail)).to_be(), by_definition(&tail));
        }
    }
}
