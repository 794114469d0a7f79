//! Addresses in map keys: 16 bytes, IPv4 in mapped form (RFC 4291, 2.5.5.2), so that IPv6 needs no second set of maps.

/// An IP address as on the wire, in four words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Address(pub [u32; 4]);

const MAPPED: u32 = 0x0000_ffff_u32.to_be();

impl Address {
    /// From an IPv4 address as on the wire.
    #[inline(always)]
    pub const fn v4(raw: u32) -> Self {
        Self([0, 0, MAPPED, raw])
    }
}

#[cfg(feature = "user")]
impl From<std::net::IpAddr> for Address {
    fn from(address: std::net::IpAddr) -> Self {
        let octets = match address {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(v6) => v6.octets(),
        };
        Self(std::array::from_fn(|i| u32::from_ne_bytes(std::array::from_fn(|j| octets[4 * i + j]))))
    }
}

#[cfg(feature = "user")]
impl From<Address> for std::net::IpAddr {
    fn from(address: Address) -> Self {
        let mut octets = [0u8; 16];
        for (chunk, word) in octets.chunks_exact_mut(4).zip(address.0) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        std::net::Ipv6Addr::from(octets).to_canonical()
    }
}

/// An IPv4 address as on the wire.
#[cfg(feature = "user")]
pub fn raw_v4(address: std::net::Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

#[cfg(all(test, feature = "user"))]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn both_families_round_trip() {
        for text in ["10.0.2.38", "255.255.255.255", "2001:db8::7", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
        }
        let v4 = Ipv4Addr::new(10, 0, 2, 38);
        assert_eq!(Address::from(IpAddr::V4(v4)), Address::v4(raw_v4(v4)));
    }
}
