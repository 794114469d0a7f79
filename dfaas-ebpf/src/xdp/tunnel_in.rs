//! The decision on a tunnel packet. Every check has its verdict.

pub(super) mod bounced;
pub(super) mod handoff;

use aya_ebpf::helpers as h;
use dfaas_common::{
    address::AddressV4,
    flow::{FlowKey, StoredTarget, Target, end_by_peer},
    hint::{Hint, Kind},
    packet::Segment,
    peer::{Peer, Seal},
    reuse::newer,
    tunnel::{BOUNCE, FIRST, LATER, is_martian},
    verdict::Verdict,
};

use super::{
    Inside, Plan, Rewrite, known, seal,
    tunnel::{INNER_AT, Tunnelled},
};
use crate::{
    maps,
    packet::{Packet, Xdp},
    setting,
};

#[inline(never)]
pub(super) fn decide(x: Xdp, plan: &mut Plan) -> Inside {
    match try_decide(x, plan) {
        Ok(inside) => inside,
        Err(verdict) => {
            plan.leave(verdict);
            Inside::Decided
        }
    }
}

#[inline(always)]
fn try_decide(x: Xdp, plan: &mut Plan) -> Result<Inside, Verdict> {
    let frame: &Tunnelled = x.get(0).ok_or(Verdict::TunnelMalformed)?;
    let from = frame.outer.ip.sender();
    plan.source = from;
    let number = maps::peer_number(from).ok_or(Verdict::TunnelStranger)?;
    let peer = maps::peer(number).ok_or(Verdict::TunnelStranger)?;
    if peer.tunnel != from {
        return Err(Verdict::TunnelStranger);
    }
    let geneve = &frame.outer.geneve;
    if !geneve.is_ours() {
        return Err(Verdict::TunnelMalformed);
    }
    plan.segment = Segment::parse_inner(&frame.inner, x.len().wrapping_sub(INNER_AT))?;
    let (kind, marks, tag) = (geneve.kind, geneve.marks, geneve.tag.get());
    let seal = seal_of(peer, u32::from(geneve.epoch.get())).ok_or(Verdict::TunnelWrongEpoch)?;
    let s = &plan.segment;
    if seal::proof(x, INNER_AT, seal::len(s), seal, kind, marks) != Some(tag) {
        return Err(Verdict::TunnelWrongTag);
    }
    plan.sender = number;
    plan.marks = if kind == LATER { 0 } else { marks };
    plan.payload_at = INNER_AT + 20 + s.header_len;
    if kind == BOUNCE {
        return bounced::check(number, plan);
    }
    if s.source == setting!(service_address) && s.source_port == setting!(service_port) {
        return returned(number, plan);
    }
    if s.destination != peer.service || s.destination_port != peer.service_port.raw() {
        return Err(Verdict::TunnelWrongService);
    }
    if is_martian(s.source) || is_of_this_node(s.source) {
        return Err(Verdict::TunnelMartian);
    }
    if kind == FIRST {
        return Ok(Inside::Admit);
    }
    plan.rewrite(Rewrite::PassInner(Hint::new(Kind::PeerLater, number)), Verdict::LaterFromPeer);
    Ok(Inside::Decided)
}

/// Our own addresses, and those that stand for peers here.
#[inline(always)]
fn is_of_this_node(source: AddressV4) -> bool {
    source == setting!(tunnel_address)
        || source == setting!(service_address)
        || source.masked(setting!(alias_mask)) == setting!(alias_network)
}

/// What the peer must use in this epoch.
#[inline(always)]
fn seal_of(peer: &Peer, epoch: u32) -> Option<&Seal> {
    if epoch == 0 {
        return None;
    }
    if peer.receive[0].epoch == epoch {
        Some(&peer.receive[0])
    } else if peer.receive[1].epoch == epoch {
        Some(&peer.receive[1])
    } else {
        None
    }
}

/// An answer on a connection that we handed to this peer: to the client.
#[inline(always)]
fn returned(number: u32, plan: &mut Plan) -> Result<Inside, Verdict> {
    let s = &plan.segment;
    let key = FlowKey::v4(s.destination, s.destination_port);
    let (flow, live) = maps::flow(&key).ok_or(Verdict::ReturnWithoutFlow)?;
    // SAFETY: a live map value; words read one by one.
    if unsafe { (*flow).target } != StoredTarget::from(Target::Peer(number)) {
        return Err(Verdict::ReturnWithoutFlow);
    }
    // SAFETY: as above.
    unsafe {
        (*flow).last_ns = h::bpf_ktime_get_coarse_ns();
        if newer(s.acknowledgement, (*flow).acknowledged) {
            (*flow).acknowledged = s.acknowledgement;
        }
    }
    let ended = known::note(flow, end_by_peer(s)) && live;
    // Before the entry moves: its old place may be reused at once.
    plan.towards_client(flow);
    if ended {
        maps::retire(&key, flow);
    }
    plan.rewrite(Rewrite::ReturnInner, Verdict::Returned);
    Ok(Inside::Decided)
}
