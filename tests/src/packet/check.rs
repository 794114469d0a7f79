//! Checksums by their definition, and frames compared.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::{IP_AT, UDP_AT};

/// RFC 1071, word by word in network order.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Over pseudo-header and segment (RFC 9293, 3.1).
pub(super) fn tcp_checksum(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> u16 {
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.extend([0, 6]);
    bytes.extend((segment.len() as u16).to_be_bytes());
    bytes.extend(segment);
    checksum(&bytes)
}

/// Re-derives every length and checksum of an IPv4 frame, inside a tunnel too.
pub fn verify(frame: &[u8]) -> Result<(), String> {
    match frame.get(12..IP_AT) {
        Some([8, 0]) => verify_ipv4(&frame[IP_AT..]),
        other => Err(format!("ethertype {other:x?}, expected IPv4")),
    }
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

fn verify_ipv4(packet: &[u8]) -> Result<(), String> {
    if packet.len() < 20 || packet[0] != 0x45 {
        return Err("no IPv4 header without options".into());
    }
    if checksum(&packet[..20]) != 0 {
        return Err(format!("IPv4 checksum {:#06x} is wrong", half(packet, 10)));
    }
    let total = usize::from(half(packet, 2));
    if total < 40 || total > packet.len() {
        return Err(format!("IPv4 total length {total} in {} bytes", packet.len()));
    }
    let inside = &packet[20..total];
    match packet[9] {
        6 if tcp_checksum(address(packet, 12), address(packet, 16), inside) != 0 => {
            Err(format!("TCP checksum {:#06x} is wrong", half(inside, 16)))
        }
        6 => Ok(()),
        17 => {
            let len = usize::from(half(inside, 4));
            if len != inside.len() || half(inside, 6) != 0 {
                return Err(format!("UDP length {len} of {}, checksum {:#06x}", inside.len(), half(inside, 6)));
            }
            verify_ipv4(&inside[8 + 24..])
        }
        other => Err(format!("protocol {other}")),
    }
}

/// Where two frames differ, in words; `None` if they do not.
pub fn difference(want: &[u8], got: &[u8]) -> Option<String> {
    if want == got {
        return None;
    }
    let at = want.iter().zip(got).position(|(a, b)| a != b).unwrap_or(want.len().min(got.len()));
    let part = match at {
        0..IP_AT => "Ethernet",
        IP_AT..UDP_AT => "IPv4",
        _ => "behind IPv4",
    };
    let mut text =
        format!("frames differ from byte {at} ({part}) on; {} bytes expected, {} got", want.len(), got.len());
    for (name, frame) in [("expected", want), ("got     ", got)] {
        let _ = write!(text, "\n      {name} ");
        for (i, byte) in frame.iter().enumerate().take(140) {
            let mark = if i == at { ">" } else { "" };
            let _ = write!(text, "{mark}{byte:02x}");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, Tunnel, patched};
    use super::*;

    #[test]
    fn rfc1071_section_3_example() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let (a, b) = ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let good = Frame::tcp(a, b).payload("GET").bytes();
        verify(&good).unwrap();
        for at in 12..good.len() {
            assert!(verify(&patched(good.clone(), at, &[good[at] ^ 0x10])).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_tunnelled_packet_is_looked_into() {
        let (a, b) = ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let tunnel = Tunnel {
            destination_mac: [1; 6],
            source_mac: [2; 6],
            from: Ipv4Addr::new(10, 0, 0, 3),
            to: Ipv4Addr::LOCALHOST,
            source_port: 1,
            kind: 1,
            marks: 0,
            epoch: 1,
            tag: 1,
        };
        let good = tunnel.carry(&Frame::tcp(a, b).payload("GET").packet(), b"pad");
        verify(&good).unwrap();
        let last = good.len() - 4;
        assert!(verify(&patched(good, last, &[0x10])).is_err());
    }
}
