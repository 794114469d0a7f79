//! Addresses in map keys: 16 bytes, IPv4 in mapped form (RFC 4291, 2.5.5.2), so that IPv6 needs no second set of maps.

/// An IP address as on the wire. Bytes, because that is how `bpftool` shows them best; aligned, so that the programs move
/// words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(4))]
pub struct Address(pub [u8; 16]);

const MAPPED: u32 = 0x0000_ffff_u32.to_be();

impl Address {
    /// From an IPv4 address as on the wire.
    #[inline(always)]
    pub const fn v4(raw: u32) -> Self {
        // SAFETY: four words are sixteen bytes, of the same alignment.
        unsafe { core::mem::transmute::<[u32; 4], Self>([0, 0, MAPPED, raw]) }
    }
}

#[cfg(feature = "user")]
impl From<std::net::IpAddr> for Address {
    fn from(address: std::net::IpAddr) -> Self {
        Self(match address {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(v6) => v6.octets(),
        })
    }
}

#[cfg(feature = "user")]
impl From<Address> for std::net::IpAddr {
    fn from(address: Address) -> Self {
        std::net::Ipv6Addr::from(address.0).to_canonical()
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
