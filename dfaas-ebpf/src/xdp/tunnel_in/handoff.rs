//! A connection that a peer hands to us: take it, or send it back untouched.

use aya_ebpf::helpers as h;
use dfaas_common::{
    hint::{Hint, Kind},
    http::Name,
    limit::Limit,
    packet::{Be16, Be64},
    peer::MAX_PEERS,
    route::NO_FUNCTION,
    tunnel::{BOUNCE, RENEWED},
    verdict::Verdict,
};

use crate::{
    count, field, maps,
    packet::{Packet, Xdp},
    pick::{take, take_local},
    request::read_name,
    socket::{self, Tuple},
    xdp::{
        Plan, Rewrite, seal,
        tunnel::{INNER_AT, Tunnelled},
    },
};

/// Decides on a FIRST that has passed all checks.
#[inline(never)]
pub(in crate::xdp) fn decide(x: Xdp, plan: &mut Plan) {
    let number = plan.sender;
    // Its socket exists: a retransmission. In TIME_WAIT it is an old connection's.
    let state = own_socket(&x, number, plan);
    let known = !matches!(state, socket::NONE | socket::LISTEN | socket::TIME_WAIT);
    if !known && maps::was_taken(&plan.segment) {
        return plan.leave(Verdict::TunnelReplayed);
    }
    let admitted = if known { Ok(()) } else { admit(&x, number, plan) };
    match admitted {
        Ok(()) => {
            let hint = Hint::new(Kind::PeerFirst, number).renewing(plan.marks & RENEWED != 0);
            plan.rewrite(Rewrite::PassInner(hint), Verdict::HandoffAccepted);
        }
        Err(reason) => {
            let function = plan.picked.function;
            if function != NO_FUNCTION {
                count::function(function, field!(turned_away));
                count::pair(function, number, field!(turned_away));
            }
            plan.leave(turn_away(x, number, plan).map_or(Verdict::PeerUnknown, |()| reason));
        }
    }
}

/// State of the socket of the connection that is handed over.
#[inline(always)]
fn own_socket(x: &Xdp, number: u32, plan: &Plan) -> u32 {
    maps::peer(number)
        .map_or(socket::NONE, |peer| socket::state(x, Tuple { destination: peer.alias, ..Tuple::from(&plan.segment) }))
}

#[inline(always)]
fn admit(x: &Xdp, number: u32, plan: &mut Plan) -> Result<(), Verdict> {
    let s = &plan.segment;
    if socket::state(x, Tuple::from(s).to_handoff()) != socket::LISTEN {
        return Err(Verdict::TurnedAwayNoListener);
    }
    if maps::control().is_none_or(|control| control.draining != 0) {
        return Err(Verdict::TurnedAwayDraining);
    }
    let mut name = Name::default();
    if read_name(x, plan.payload_at, s.payload_len, &mut name) == 0 {
        return Err(Verdict::TurnedAwayFunction);
    }
    let route = maps::route(&name).ok_or(Verdict::TurnedAwayFunction)?;
    if route.deployed == 0 {
        return Err(Verdict::TurnedAwayFunction);
    }
    plan.picked.function = route.function;
    let buckets = maps::buckets(route.function).ok_or(Verdict::TurnedAwayFunction)?;
    let index = (number as usize) & (MAX_PEERS - 1);
    // SAFETY: no arguments.
    let now = unsafe { h::bpf_ktime_get_coarse_ns() };
    // SAFETY: a live map value, the index masked to the array; only the address is taken.
    let from_peer = unsafe { (&raw mut (*buckets).in_tat_ns).cast::<u64>().add(index) };
    let granted = Limit::sharing(route.in_interval_ns[index], route.in_burst_ns);
    if !take(from_peer, now, granted, granted.burst_ns) {
        return Err(Verdict::TurnedAwayLimit);
    }
    // The node's own limit holds for all it serves. Peers may use half of the burst: own clients come first.
    if !take_local(route, buckets, now, route.local.burst_ns / 2) {
        return Err(Verdict::TurnedAwayBusy);
    }
    count::function(route.function, field!(received));
    count::pair(route.function, number, field!(received));
    Ok(())
}

/// Sends the packet back as it came, marked BOUNCE.
#[inline(always)]
fn turn_away(mut x: Xdp, number: u32, plan: &Plan) -> Option<()> {
    let peer = maps::peer(number)?;
    let tag = seal::proof(x, INNER_AT, seal::len(&plan.segment), &peer.send, BOUNCE, plan.marks)?;
    let frame: &mut Tunnelled = x.get_mut(0)?;
    core::mem::swap(&mut frame.eth.source, &mut frame.eth.destination);
    let ip = &mut frame.outer.ip;
    // The header's checksum stays right: a sum does not care for order.
    core::mem::swap(&mut ip.source, &mut ip.destination);
    frame.outer.geneve.kind = BOUNCE;
    frame.outer.geneve.epoch = Be16::new(peer.send.epoch as u16);
    frame.outer.geneve.tag = Be64::new(tag);
    Some(())
}
