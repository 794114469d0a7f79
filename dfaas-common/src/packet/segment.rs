//! What steering needs to know of a TCP segment.

use super::{
    ACK, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN, EthIpTcp, FRAGMENT_MASK, IpTcp, Ipv4, PROTOCOL_TCP, Tcp,
};
use crate::{address::AddressV4, verdict::Verdict};

/// A TCP segment over IPv4. Ports as on the wire, sequence numbers in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub source: AddressV4,
    pub destination: AddressV4,
    pub source_port: u16,
    pub destination_port: u16,
    pub sequence: u32,
    pub acknowledgement: u32,
    /// TCP header with options, bytes.
    pub header_len: u32,
    /// Bytes behind the TCP header.
    pub payload_len: u32,
    pub flags: u8,
}

impl Segment {
    /// Nothing read yet.
    pub const NONE: Self = Self {
        source: AddressV4::UNSPECIFIED,
        destination: AddressV4::UNSPECIFIED,
        source_port: 0,
        destination_port: 0,
        sequence: 0,
        acknowledgement: 0,
        header_len: 20,
        payload_len: 0,
        flags: 0,
    };

    /// Reads an untagged frame. The error says why the frame is not for us to steer; such frames are passed up.
    ///
    /// `frame_len` bounds what the length fields may claim; a shorter total length (Ethernet padding) is fine.
    #[inline(always)]
    pub fn parse(frame: &EthIpTcp, frame_len: u32) -> Result<Self, Verdict> {
        check_ipv4(frame.eth.ethertype.get(), &frame.ip)?;
        if frame.ip.protocol != PROTOCOL_TCP {
            return Err(Verdict::NotSteered);
        }
        Self::from_headers(&frame.ip, &frame.tcp, frame_len.wrapping_sub(super::ETH_LEN as u32))
    }

    /// Reads the segment inside a tunnel packet; `len` is the number of bytes from the inner IPv4 header on.
    #[inline(always)]
    pub fn parse_inner(headers: &IpTcp, len: u32) -> Result<Self, Verdict> {
        let ip = &headers.ip;
        if ip.version_ihl != 0x45 || ip.protocol != PROTOCOL_TCP || ip.fragment.get() & FRAGMENT_MASK != 0 {
            return Err(Verdict::TunnelMalformed);
        }
        Self::from_headers(ip, &headers.tcp, len).map_err(|_| Verdict::TunnelMalformed)
    }

    #[inline(always)]
    fn from_headers(ip: &Ipv4, tcp: &Tcp, len: u32) -> Result<Self, Verdict> {
        let total = u32::from(ip.total_len.get());
        let header_len = u32::from(tcp.data_offset >> 4) * 4;
        if total > len || total < 40 {
            return Err(Verdict::BadIpLength);
        }
        if header_len < 20 || total < 20 + header_len {
            return Err(Verdict::BadTcpOffset);
        }
        Ok(Self {
            source: ip.sender(),
            destination: ip.receiver(),
            source_port: tcp.source.raw(),
            destination_port: tcp.destination.raw(),
            sequence: tcp.sequence.get(),
            acknowledgement: tcp.acknowledgement.get(),
            header_len,
            payload_len: total - 20 - header_len,
            flags: tcp.flags,
        })
    }

    #[inline(always)]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Both ports in one word, as on the wire.
    #[inline(always)]
    pub fn ports(&self) -> u32 {
        u32::from(self.source_port) << 16 | u32::from(self.destination_port)
    }

    /// Bytes of TCP options.
    #[inline(always)]
    pub fn options_len(&self) -> u32 {
        self.header_len - 20
    }

    /// The client's initial sequence number, if this is the first segment behind its SYN.
    #[inline(always)]
    pub fn client_isn(&self) -> u32 {
        self.sequence.wrapping_sub(1)
    }

    /// Our initial sequence number, if this acknowledges our SYN-ACK and nothing more.
    #[inline(always)]
    pub fn our_isn(&self) -> u32 {
        self.acknowledgement.wrapping_sub(1)
    }

    /// Sequence number behind this segment; SYN and FIN count one each (RFC 9293, 3.4).
    #[inline(always)]
    pub fn end(&self) -> u32 {
        self.sequence
            .wrapping_add(self.payload_len)
            .wrapping_add(u32::from(self.has(super::FIN)) + u32::from(self.has(super::SYN)))
    }

    /// Data of an open connection: ACK set, neither SYN nor RST.
    #[inline(always)]
    pub fn carries_data(&self) -> bool {
        self.payload_len > 0 && self.flags & (super::SYN | super::RST | ACK) == ACK
    }
}

/// Offsets move behind a VLAN tag, so such frames are told before any address is read.
#[inline(always)]
pub fn is_vlan_tagged(ethertype: u16) -> bool {
    matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_QINQ)
}

/// Refuses what the kernel path does not steer: other protocols, VLAN tags, IPv4 options, fragments.
#[inline(always)]
pub(crate) fn check_ipv4(ethertype: u16, ip: &Ipv4) -> Result<(), Verdict> {
    if is_vlan_tagged(ethertype) {
        return Err(Verdict::VlanTagged);
    }
    if ethertype != ETHERTYPE_IPV4 {
        return Err(Verdict::NotSteered);
    }
    if ip.version_ihl != 0x45 {
        return Err(if ip.version_ihl >> 4 == 4 && ip.version_ihl & 15 > 5 {
            Verdict::IpOptions
        } else {
            Verdict::BadIpLength
        });
    }
    if ip.fragment.get() & FRAGMENT_MASK != 0 {
        return Err(Verdict::Fragment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Be16, Be32, Eth, RST, SYN};
    use super::*;

    fn frame() -> EthIpTcp {
        EthIpTcp {
            eth: Eth { ethertype: Be16::new(ETHERTYPE_IPV4), ..Eth::default() },
            ip: Ipv4::new(PROTOCOL_TCP, 60, AddressV4::from_raw(1), AddressV4::from_raw(2)),
            tcp: Tcp { sequence: Be32::new(7), data_offset: 0x80, flags: ACK, ..Tcp::default() },
        }
    }

    #[test]
    fn lengths_come_from_the_headers_not_from_the_frame() {
        let s = Segment::parse(&frame(), 14 + 64).unwrap();
        assert_eq!((s.header_len, s.payload_len, s.options_len(), s.end()), (32, 8, 12, 15));
        assert!(s.carries_data());
    }

    #[test]
    fn each_reason_not_to_steer_has_its_verdict() {
        let check = |change: fn(&mut EthIpTcp), want| {
            let mut f = frame();
            change(&mut f);
            assert_eq!(Segment::parse(&f, 74), Err(want));
        };
        check(|f| f.eth.ethertype = Be16::new(ETHERTYPE_VLAN), Verdict::VlanTagged);
        check(|f| f.eth.ethertype = Be16::new(0x86dd), Verdict::NotSteered);
        check(|f| f.ip.version_ihl = 0x46, Verdict::IpOptions);
        check(|f| f.ip.version_ihl = 0x44, Verdict::BadIpLength);
        check(|f| f.ip.fragment = Be16::new(0x2000), Verdict::Fragment);
        check(|f| f.ip.fragment = Be16::new(1), Verdict::Fragment);
        check(|f| f.ip.protocol = 17, Verdict::NotSteered);
        check(|f| f.ip.total_len = Be16::new(61), Verdict::BadIpLength);
        check(|f| f.ip.total_len = Be16::new(39), Verdict::BadIpLength);
        check(|f| f.tcp.data_offset = 0x40, Verdict::BadTcpOffset);
        check(|f| f.tcp.data_offset = 0xf0, Verdict::BadTcpOffset);
    }

    #[test]
    fn only_plain_data_carries_data() {
        let mut s = Segment::parse(&frame(), 74).unwrap();
        for (flags, want) in
            [(ACK, true), (ACK | 8, true), (ACK | 1, true), (0, false), (ACK | RST, false), (ACK | SYN, false)]
        {
            s.flags = flags;
            assert_eq!(s.carries_data(), want, "{flags:#x}");
        }
        s.flags = ACK;
        s.payload_len = 0;
        assert!(!s.carries_data());
    }
}
