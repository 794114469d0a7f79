//! TC ingress: makes the socket of a connection that XDP has placed on this node.

use aya_ebpf::helpers as h;
use dfaas_common::{
    checksum,
    cookie::{self, Agreed},
    flow::{FlowKey, Listener},
    hint::Kind,
    options::{NO_WINDOW_SCALE, Options},
    packet::{Be16, Be32, ETH_LEN, EthIpTcp, IpTcp, OPTIONS_AT, RST, Segment, TCP_AT, Tcp},
    reuse,
    verdict::Verdict,
};

use crate::{
    kfunc, maps, options,
    packet::{Packet, Skb},
    setting,
    socket::{LISTEN, Socket, TIME_WAIT, Tuple},
};

/// Mark of a packet that this program has sent round again. Nothing from the network carries a mark.
const SENT_ROUND: u32 = 0x4446_0070;
/// The part of that mark that is the kind of hint.
const KIND: u32 = 0x0000_000f;
/// Offset of the link-layer source address.
const SOURCE_AT: u32 = 6;
/// Offset of the IPv4 destination address.
const DESTINATION_AT: u32 = ETH_LEN as u32 + 16;

/// `None`: nothing to do with us.
#[inline(always)]
pub(super) fn place(mut skb: Skb) -> Option<Verdict> {
    let was_sent_round = skb.mark() & !KIND == SENT_ROUND;
    let (kind, number, renewed, in_source) = if was_sent_round {
        // Its destination has been rewritten already, if it is a peer's: the alias tells.
        let kind = match Kind::from_number((skb.mark() & KIND) as u8)? {
            Kind::LocalFirst | Kind::PeerFirst => Kind::LocalFirst,
            Kind::LocalEarly | Kind::PeerLater => Kind::LocalEarly,
            Kind::ProxyFirst => Kind::ProxyFirst,
        };
        skb.set_mark(0);
        (kind, u32::MAX, false, false)
    } else {
        let (hint, in_source) = skb.hint()?;
        (hint.kind, hint.peer.into(), hint.renewed, in_source)
    };
    skb.pull(TCP_AT as u32 + 20)?;
    let len = skb.len();
    let mut s = Segment::parse(skb.get::<EthIpTcp>(0)?, len).ok()?;
    let handed_off = if kind == Kind::PeerFirst || kind == Kind::PeerLater {
        let Some(peer) = maps::peer(number) else { return Some(Verdict::PeerUnknown) };
        if in_source {
            put_source_back(&mut skb, peer.mac);
        }
        skb.replace_address(DESTINATION_AT, s.destination, peer.alias)?;
        s.destination = peer.alias;
        true
    } else {
        if in_source && let Some((flow, _)) = maps::flow(&FlowKey::v4(s.source, s.source_port)) {
            // SAFETY: a live map value.
            put_source_back(&mut skb, unsafe { (*flow).mac });
        }
        // A packet sent round already has its alias.
        s.destination != setting!(service_address)
    };
    let is_later = kind == Kind::PeerLater || kind == Kind::LocalEarly;
    if is_later || !s.carries_data() {
        if !handed_off && !is_later || s.has(RST) {
            return None;
        }
        return Some(later(skb, &s, kind, was_sent_round));
    }
    let tuple = Tuple::from(&s);
    let listener = match kind {
        _ if handed_off => tuple.to_handoff(),
        Kind::ProxyFirst => tuple.to(Listener::Proxy),
        _ => tuple.to(Listener::Placed),
    };
    let verdict = first(skb, &s, kind, renewed, listener);
    if handed_off && verdict == Verdict::Placed {
        maps::note_taken(&s);
    }
    Some(verdict)
}

/// Puts back the address that gave way to the hint: a bridge above learns from it, and XDP behind the driver would take the
/// packet for a forged one when it comes round. A failure costs just that.
#[inline(always)]
fn put_source_back(skb: &mut Skb, mac: [u8; 6]) {
    let _ = skb.store(SOURCE_AT, &mac);
}

/// The stack may take several packets through this program before it delivers the first of them: a socket made for one is
/// not there yet for the next. Sent round once, they come behind it; and so do those that would overtake them.
#[inline(always)]
fn later(mut skb: Skb, s: &Segment, kind: Kind, was_sent_round: bool) -> Verdict {
    let (exists, overtakes) = match Socket::find(&skb, s.into()) {
        Some(socket) if socket.state() != LISTEN => (true, overtakes(&socket, s)),
        _ => (false, false),
    };
    match (exists, was_sent_round) {
        (true, true) => Verdict::LaterWithSocket,
        (true, false) if !overtakes => Verdict::LaterWithSocket,
        // The first packet may still be on its way: no reset, the client repeats.
        (false, true) => Verdict::LaterWithoutSocket,
        _ => {
            skb.set_mark(SENT_ROUND | kind as u32);
            skb.reinject();
            Verdict::SentRound
        }
    }
}

/// Is something missing in front of it, on a connection whose client has not heard from us yet?
#[inline(always)]
fn overtakes(socket: &Socket, s: &Segment) -> bool {
    let is_new = |our_isn| our_isn == s.acknowledgement || our_isn == s.our_isn();
    socket.full().is_some_and(|(rcv_nxt, our_isn)| is_new(our_isn) && reuse::newer(s.sequence, rcv_nxt))
}

#[inline(always)]
fn first(mut skb: Skb, s: &Segment, kind: Kind, renewed: bool, listener: Tuple) -> Verdict {
    let Some(o) = options::read(&skb, OPTIONS_AT as u32, s.options_len()) else { return Verdict::PlaceFailed };
    if let Some(old) = Socket::find(&skb, s.into()) {
        let state = old.state();
        let doomed = if state == LISTEN { None } else { doomed(&old, state, s, &o, renewed) };
        drop(old);
        if let Some(rcv_nxt) = doomed {
            skb.set_mark(SENT_ROUND | kind as u32);
            replace(skb, rcv_nxt);
            return Verdict::OldSocketReplaced;
        }
        if state != LISTEN {
            return Verdict::PlacedAlready;
        }
    }
    let Some(listener) = Socket::find(&skb, listener) else { return Verdict::PlaceWithoutListener };
    if listener.state() != LISTEN {
        return Verdict::PlaceWithoutListener;
    }
    // SAFETY: a referenced socket; null if it is of another kind.
    let tcp = unsafe { h::bpf_skc_to_tcp_sock(listener.raw().cast()) };
    if tcp.is_null() {
        return Verdict::PlaceWithoutListener;
    }
    let mut attributes = attributes(s, &o);
    // SAFETY: context and listener are valid, the reference is held by `listener`.
    match unsafe { kfunc::bpf_sk_assign_tcp_reqsk(skb.raw(), tcp.cast(), &mut attributes) } {
        0 => Verdict::Placed,
        _ => Verdict::PlaceFailed,
    }
}

/// What the handshake agreed on: in the cookie, and in the timestamps of this packet.
#[inline(always)]
fn attributes(s: &Segment, o: &Options) -> kfunc::TcpRequestAttributes {
    let stamp = if o.has_timestamp { Some(o.timestamp_echo) } else { None };
    let Agreed { mss, window_scale, sack } = cookie::unpack(s.our_isn(), stamp);
    let scaled = window_scale != NO_WINDOW_SCALE;
    kfunc::TcpRequestAttributes {
        rcv_tsval: o.timestamp,
        rcv_tsecr: o.timestamp_echo,
        mss,
        rcv_wscale: if scaled { 7 } else { 0 },
        snd_wscale: if scaled { window_scale } else { 0 },
        ecn_ok: 0,
        wscale_ok: scaled.into(),
        sack_ok: sack.into(),
        tstamp_ok: o.has_timestamp.into(),
        usec_ts_ok: 0,
    }
}

/// `rcv_nxt` of a socket that must give way: an older connection of the same client port. A duplicate of that connection's
/// first packet must not make its call happen twice, so a socket gives way only to what is shown to be another connection.
#[inline(always)]
fn doomed(old: &Socket, state: u32, s: &Segment, o: &Options, renewed: bool) -> Option<u32> {
    if state == TIME_WAIT {
        let waiting = old.time_wait()?;
        // SAFETY: no arguments.
        let now_ns = unsafe { h::bpf_ktime_get_coarse_ns() };
        return reuse::is_another(&waiting, s, o, renewed, now_ns).then_some(waiting.rcv_nxt);
    }
    let (rcv_nxt, our_isn) = old.full()?;
    // The same connection has the same ISN of ours (before and after the first acknowledgement).
    let same = our_isn == s.acknowledgement || our_isn == s.our_isn();
    if same { None } else { Some(rcv_nxt) }
}

/// Ends the old socket by a reset with exactly its `rcv_nxt` (RFC 5961, 3.2) and sends the packet round behind it.
#[inline(never)]
fn replace(skb: Skb, rcv_nxt: u32) -> u32 {
    try_replace(skb, rcv_nxt).is_some().into()
}

#[inline(always)]
fn try_replace(mut skb: Skb, rcv_nxt: u32) -> Option<()> {
    let mut headers = [0u64; 5];
    skb.load(ETH_LEN as u32, &mut headers, 40)?;
    let packet: &mut IpTcp = skb.get_mut(ETH_LEN)?;
    packet.ip.total_len = Be16::new(40);
    checksum::set_ipv4(&mut packet.ip);
    packet.tcp = Tcp {
        source: packet.tcp.source,
        destination: packet.tcp.destination,
        sequence: Be32::new(rcv_nxt),
        data_offset: 0x50,
        flags: RST,
        ..Tcp::default()
    };
    let pseudo = checksum::pseudo_header(packet.ip.sender(), packet.ip.receiver(), 20);
    packet.tcp.checksum = Be16::from_raw(checksum::fold(pseudo + checksum::sum(&packet.tcp)));
    skb.reinject();
    skb.store(ETH_LEN as u32, &headers)?;
    skb.reinject();
    Some(())
}
