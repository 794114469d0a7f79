//! The decision on a packet that comes in by the network.

use aya_ebpf::helpers as h;
use dfaas_common::{
    cookie::{self, Kind},
    flow::{Flow, FlowKey},
    packet::{
        ACK, ETH_LEN, ETHERTYPE_IPV4, Eth, EthIpTcp, FIN, Ipv4, OPTIONS_AT, PROTOCOL_UDP, RST, SYN, Segment, TCP_AT,
        Udp, is_vlan_tagged,
    },
    tunnel,
    verdict::Verdict,
};

use super::{Next, Plan, Rewrite, known};
use crate::{
    maps::{self, Older},
    options,
    packet::{Packet, Xdp},
    setting, socket,
};

/// More than a client sends before its first packet has been acknowledged.
const EARLY_BYTES: u32 = 1 << 20;

#[inline(never)]
pub(super) fn decide(x: Xdp, plan: &mut Plan) -> Next {
    match try_decide(x, plan) {
        Ok(next) => next,
        Err(verdict) => {
            plan.leave(verdict);
            Next::Decided
        }
    }
}

#[inline(always)]
fn try_decide(x: Xdp, plan: &mut Plan) -> Result<Next, Verdict> {
    if is_tunnel(&x) {
        return if x.is_to_us() { Ok(Next::OpenTunnel) } else { Err(Verdict::OtherLink) };
    }
    read(&x, plan)?;
    let s = &plan.segment;
    let key = FlowKey::v4(s.source, s.source_port);
    let flow = maps::flow(&key);
    if s.has(SYN) {
        return syn(plan, flow);
    }
    if !s.has(ACK | RST) {
        return Err(Verdict::NoAckFlag);
    }
    let mut kind = Kind::Foreign;
    if let Some((flow, live)) = flow {
        plan.older = if live { Older::Forwarded } else { Older::Decided };
        let s = &plan.segment;
        kind = newer(&x, s, flow)?;
        if kind != Kind::First {
            if known::may_go_elsewhere(s, flow) {
                return Ok(Next::Choose);
            }
            return known::decide(x, &key, flow, live, plan);
        }
    } else if !s.has(RST) {
        kind = check_cookie(&x, s, s.client_isn());
    }
    begin(&x, plan, kind)
}

/// Reads the segment into the plan, if it is a client's to the service.
#[inline(always)]
fn read(x: &Xdp, plan: &mut Plan) -> Result<(), Verdict> {
    let frame: &EthIpTcp = x.get(0).ok_or(Verdict::NotSteered)?;
    if is_vlan_tagged(frame.eth.ethertype.get()) {
        return Err(Verdict::VlanTagged);
    }
    // Everything else on this host is left alone before any further look.
    if frame.ip.receiver() != setting!(service_address) {
        return Err(Verdict::NotSteered);
    }
    plan.segment = Segment::parse(frame, x.len())?;
    let s = &plan.segment;
    if s.destination_port != setting!(service_port) {
        return Err(Verdict::NotSteered);
    }
    if !x.is_to_us() {
        return Err(Verdict::OtherLink);
    }
    plan.source = s.source;
    plan.payload_at = TCP_AT as u32 + s.header_len;
    Ok(())
}

#[inline(always)]
fn syn(plan: &mut Plan, flow: Option<(*mut Flow, bool)>) -> Result<Next, Verdict> {
    let s = &plan.segment;
    if s.has(ACK | RST | FIN) {
        return Err(Verdict::SynMalformed);
    }
    if let Some((flow, _)) = flow {
        // SAFETY: a live map value; one word.
        unsafe { (*flow).newer_isn = s.sequence };
    }
    plan.rewrite(Rewrite::SynAck, Verdict::SynAnswered);
    Ok(Next::Decided)
}

/// What the segment is to a newer connection of the same client port, if there is one whose first data packet has not come
/// yet.
#[inline(always)]
fn newer(x: &Xdp, s: &Segment, flow: *const Flow) -> Result<Kind, Verdict> {
    // SAFETY: a live map value; words read one by one.
    let (isn, newer_isn, our_isn) = unsafe { ((*flow).client_isn, (*flow).newer_isn, (*flow).our_isn) };
    if newer_isn == isn {
        return Ok(Kind::Foreign);
    }
    if s.client_isn() == newer_isn {
        return Ok(check_cookie(x, s, newer_isn));
    }
    let is_early = s.our_isn() != our_isn
        && s.sequence.wrapping_sub(newer_isn) < EARLY_BYTES
        && !s.has(RST)
        && check_cookie(x, s, s.client_isn()) != Kind::Foreign;
    if is_early { Err(Verdict::EarlyLater) } else { Ok(Kind::Foreign) }
}

/// A segment of a connection that nothing is decided for.
#[inline(always)]
fn begin(x: &Xdp, plan: &mut Plan, kind: Kind) -> Result<Next, Verdict> {
    let s = &plan.segment;
    match kind {
        Kind::First if plan.older != Older::Nowhere => plan.marks = tunnel::RENEWED,
        Kind::First => {}
        Kind::Foreign => return Err(Verdict::NoCookie),
        Kind::Later if socket::exists(x, s.into()) => return Err(Verdict::NoCookie),
        Kind::Later => return early(x, plan),
    }
    if s.payload_len == 0 {
        return Err(if s.has(FIN | RST) { Verdict::CloseWithoutData } else { Verdict::HandshakeAck });
    }
    Ok(Next::Choose)
}

/// Neither the first segment of a connection, nor of one that the stack has: it overtook the first, or it is a probe that asks
/// whether we are still there before there is any request. Such a probe has the number before the next byte, and at most a byte of
/// nothing (RFC 9293, 3.8.4).
#[inline(always)]
fn early(x: &Xdp, plan: &mut Plan) -> Result<Next, Verdict> {
    let s = &plan.segment;
    if s.payload_len > 1 || s.has(FIN | RST) || check_cookie(x, s, s.sequence) != Kind::First {
        return Err(Verdict::EarlyLater);
    }
    let ack = super::Ack { cookie: s.our_isn(), sequence: s.acknowledgement };
    // So that the next byte is what is acknowledged, whether this one was sent or not.
    plan.segment.payload_len = 1;
    plan.rewrite(Rewrite::Ack(ack), Verdict::ProbeAnswered);
    Ok(Next::Decided)
}

/// Is this our tunnel, addressed to us?
#[inline(always)]
fn is_tunnel(x: &Xdp) -> bool {
    let (Some(eth), Some(ip), Some(udp)) = (x.get::<Eth>(0), x.get::<Ipv4>(ETH_LEN), x.get::<Udp>(TCP_AT)) else {
        return false;
    };
    eth.ethertype.get() == ETHERTYPE_IPV4
        && ip.version_ihl == 0x45
        && ip.protocol == PROTOCOL_UDP
        && ip.receiver() == setting!(tunnel_address)
        && udp.destination.get() == tunnel::PORT
}

#[inline(always)]
pub(super) fn epoch() -> u32 {
    // SAFETY: no arguments.
    cookie::epoch(unsafe { h::bpf_ktime_get_coarse_ns() })
}

/// What the segment is to the handshake of a client with this initial sequence number. If it has a timestamp, the first data
/// packet must echo that of our SYN-ACK.
#[inline(always)]
fn check_cookie(x: &Xdp, s: &Segment, client_isn: u32) -> Kind {
    Kind::from_number(kind_of(s, client_isn, echo(x, s)))
}

/// The echo of a timestamp, and a bit above it; 0: it has none. A function returns one register.
#[inline(never)]
fn echo(x: &Xdp, s: &Segment) -> u64 {
    match options::read(x, OPTIONS_AT as u32, s.options_len()) {
        Some(o) if o.has_timestamp => 1 << 32 | u64::from(o.timestamp_echo),
        Some(_) | None => 0,
    }
}

/// [`Kind`] as a number: a function returns one register.
#[inline(never)]
fn kind_of(s: &Segment, client_isn: u32, echo: u64) -> u32 {
    let Some(control) = maps::control() else { return 0 };
    let (cookie, stamped) = (s.our_isn(), echo != 0);
    let epoch = cookie::epoch_of(cookie, stamped, epoch());
    let (kind, stamp) = cookie::check(control.secret.key(epoch), s, client_isn, cookie, stamped, epoch);
    match kind {
        Kind::First if stamped && !cookie::is_echo(echo as u32, stamp) => Kind::Later as u32,
        Kind::Foreign | Kind::Later | Kind::First => kind as u32,
    }
}
