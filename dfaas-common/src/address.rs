//! Addresses in map keys: 16 bytes, IPv4 in mapped form (RFC 4291, 2.5.5.2), so that IPv6 needs no second set of maps.

/// An IP address as on the wire. Bytes, because that is how `bpftool` shows them best; aligned, so that the programs move
/// words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(4))]
pub struct Address(pub [u8; 16]);

const MAPPED: u32 = 0x0000_ffff_u32.to_be();

/// An IPv4 address in a register: its bytes in the order of the wire. A type of its own, so that it is mistaken neither for a
/// number that may be compared or shifted, nor for a peer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct AddressV4(u32);

impl AddressV4 {
    /// 0.0.0.0
    pub const UNSPECIFIED: Self = Self(0);

    /// From the word as it lies in a packet.
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The word as it lies in a packet.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The number whose upper bits are the network's.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        u32::from_be(self.0)
    }

    /// The part under a mask.
    #[inline(always)]
    #[must_use]
    pub const fn masked(self, mask: Self) -> Self {
        Self(self.0 & mask.0)
    }
}

impl From<AddressV4> for Address {
    #[inline(always)]
    fn from(address: AddressV4) -> Self {
        // SAFETY: four words are sixteen bytes, of the same alignment.
        unsafe { core::mem::transmute::<[u32; 4], Self>([0, 0, MAPPED, address.0]) }
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

#[cfg(feature = "user")]
impl From<std::net::Ipv4Addr> for AddressV4 {
    fn from(address: std::net::Ipv4Addr) -> Self {
        Self(u32::from_ne_bytes(address.octets()))
    }
}

#[cfg(feature = "user")]
impl From<AddressV4> for std::net::Ipv4Addr {
    fn from(address: AddressV4) -> Self {
        Self::from_bits(address.bits())
    }
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
        assert_eq!(Address::from(IpAddr::V4(v4)), Address::from(AddressV4::from(v4)));
        assert_eq!(Ipv4Addr::from(AddressV4::from(v4)), v4);
    }
}
