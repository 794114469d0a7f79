//! Packets turned round in place: SYN-ACK, refusal, acknowledgement.

use dfaas_common::{
    checksum,
    cookie::{self, Made, Secret},
    options::NO_WINDOW_SCALE,
    packet::{ACK, Be16, Be32, Eth, FIN, Ipv4, OPTIONS_AT, PROTOCOL_TCP, PSH, SYN, Segment, TCP_AT, Tcp, Wire},
    settings::MAX_ANSWER,
    verdict::Verdict,
};

use super::{Ack, Refusal, decide::epoch};
use crate::{
    maps, options,
    packet::{Packet, Xdp},
    setting,
};

/// Four of the option bytes that mean nothing.
const NOPS: u32 = 0x0101_0101;
/// The window that we announce, bytes.
const WINDOW: u16 = 64_240;
/// Our window scale; HAProxy's sockets grow to it.
const WINDOW_SCALE: u32 = 7;

#[derive(Clone, Copy)]
#[repr(C)]
struct SynAck {
    tcp: Tcp,
    options: [Be32; 5],
}
// SAFETY: byte-wise parts, no padding.
unsafe impl Wire for SynAck {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Frame<T> {
    eth: Eth,
    ip: Ipv4,
    tcp: T,
}
// SAFETY: as above.
unsafe impl<T: Wire> Wire for Frame<T> {}

/// Swaps the addresses and writes a new IPv4 header.
#[inline(always)]
fn turn_round<T>(frame: &mut Frame<T>, tcp_len: u16) {
    core::mem::swap(&mut frame.eth.source, &mut frame.eth.destination);
    let (source, destination) = (frame.ip.receiver(), frame.ip.sender());
    frame.ip = Ipv4::new(PROTOCOL_TCP, 20 + tcp_len, source, destination);
    checksum::set_ipv4(&mut frame.ip);
}

#[inline(never)]
pub(super) fn syn_ack(x: Xdp, s: &Segment) -> u32 {
    match try_syn_ack(x, s) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

#[inline(always)]
fn try_syn_ack(mut x: Xdp, s: &Segment) -> Result<(), Verdict> {
    let o = options::read(&x, OPTIONS_AT as u32, s.options_len()).ok_or(Verdict::LoadFailed)?;
    let epoch = epoch();
    let secret: &Secret = &maps::control().ok_or(Verdict::LoadFailed)?.secret;
    let key = secret.key(epoch);
    let agreed = cookie::agree(&o);
    let Made { cookie, stamp } = cookie::make(key, s, s.sequence, &agreed, o.has_timestamp, epoch);
    x.resize(TCP_AT as i32 + size_of::<SynAck>() as i32).ok_or(Verdict::NoRoom)?;
    let frame: &mut Frame<SynAck> = x.get_mut(0).ok_or(Verdict::LoadFailed)?;
    turn_round(frame, size_of::<SynAck>() as u16);
    // Five words whatever the client offered, so that the length is a constant.
    let sack = if agreed.sack { 0x0402_0000 } else { NOPS & 0xffff_0000 };
    let (sack_timestamp, value, echo) =
        if o.has_timestamp { (sack | 0x080a, stamp, o.timestamp) } else { (sack | NOPS & 0xffff, NOPS, NOPS) };
    let scale = if agreed.window_scale == NO_WINDOW_SCALE { NOPS } else { 0x0103_0300 | WINDOW_SCALE };
    let tcp = &mut frame.tcp;
    tcp.options = [
        Be32::new(0x0204_0000 | u32::from(setting!(mss))),
        Be32::new(sack_timestamp),
        Be32::new(value),
        Be32::new(echo),
        Be32::new(scale),
    ];
    tcp.tcp = Tcp {
        source: Be16::from_raw(s.destination_port),
        destination: Be16::from_raw(s.source_port),
        sequence: Be32::new(cookie),
        acknowledgement: Be32::new(s.sequence.wrapping_add(1)),
        data_offset: 0xa0,
        flags: SYN | ACK,
        // Not zero: the request is to follow at once. Never scaled in a SYN-ACK (RFC 7323, 2.2).
        window: Be16::new(WINDOW),
        ..Tcp::default()
    };
    let sum = checksum::pseudo_header(s.destination, s.source, size_of::<SynAck>() as u16) + checksum::sum(tcp);
    tcp.tcp.checksum = Be16::from_raw(checksum::fold(sum));
    Ok(())
}

/// The answer and a FIN.
#[inline(never)]
pub(super) fn answer(x: Xdp, s: &Segment, refusal: Refusal) -> u32 {
    let ack = Ack { cookie: refusal.cookie, sequence: refusal.cookie.wrapping_add(1) };
    match try_reply(x, s, ack, Some(refusal.answer)) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

/// A bare acknowledgement.
#[inline(never)]
pub(super) fn ack(x: Xdp, s: &Segment, ack: Ack) -> u32 {
    match try_reply(x, s, ack, None) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

#[inline(always)]
fn try_reply(mut x: Xdp, s: &Segment, ack: Ack, index: Option<u32>) -> Result<(), Verdict> {
    let o = options::read(&x, OPTIONS_AT as u32, s.options_len()).ok_or(Verdict::LoadFailed)?;
    let header_len: u32 = if o.has_timestamp { 32 } else { 20 };
    let stamp = if o.has_timestamp { Some(o.timestamp_echo) } else { None };
    let is_scaled = cookie::unpack(ack.cookie, stamp).window_scale != NO_WINDOW_SCALE;
    let answer = match index {
        Some(index) => Some(maps::answer(index).ok_or(Verdict::LoadFailed)?),
        None => None,
    };
    let body_len = answer.map_or(0, |a| a.len);
    if body_len as usize > MAX_ANSWER {
        return Err(Verdict::LoadFailed);
    }
    let tcp_len = (header_len + body_len) as u16;
    x.resize((TCP_AT as u32 + header_len + body_len) as i32).ok_or(Verdict::NoRoom)?;
    let frame: &mut Frame<Tcp> = x.get_mut(0).ok_or(Verdict::LoadFailed)?;
    turn_round(frame, tcp_len);
    frame.tcp = Tcp {
        source: Be16::from_raw(s.destination_port),
        destination: Be16::from_raw(s.source_port),
        sequence: Be32::new(ack.sequence),
        acknowledgement: Be32::new(s.end()),
        data_offset: (header_len << 2) as u8,
        flags: if answer.is_some() { FIN | PSH | ACK } else { ACK },
        window: Be16::new(if is_scaled { WINDOW >> WINDOW_SCALE } else { WINDOW }),
        ..Tcp::default()
    };
    let mut sum = checksum::pseudo_header(s.destination, s.source, tcp_len) + checksum::sum(&frame.tcp);
    if o.has_timestamp {
        // Our clock stands still at what the client has seen of it: it begins with the stamp of the SYN-ACK.
        let words = [Be32::new(0x0101_080a), Be32::new(o.timestamp_echo), Be32::new(o.timestamp)];
        sum += checksum::sum(&words);
        *x.get_mut(OPTIONS_AT).ok_or(Verdict::LoadFailed)? = words;
    }
    sum += u64::from(answer.map_or(0, |a| a.sum));
    x.get_mut::<Frame<Tcp>>(0).ok_or(Verdict::LoadFailed)?.tcp.checksum = Be16::from_raw(checksum::fold(sum));
    if let Some(answer) = answer
        && body_len > 0
    {
        x.store(TCP_AT as u32 + header_len, answer.text.as_ptr(), body_len).ok_or(Verdict::LoadFailed)?;
    }
    Ok(())
}
