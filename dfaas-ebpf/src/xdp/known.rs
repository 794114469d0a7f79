//! Packets of a connection that is decided.

use aya_ebpf::helpers as h;
use dfaas_common::{
    flow::{CLIENT_FINISHED, FINISHED, Flow, FlowKey, Target},
    hint::{Hint, Kind},
    packet::{FIN, RST, Segment},
    peer::DEAD,
    verdict::Verdict,
};

use super::{Plan, Refusal, Rewrite, first};
use crate::{maps, packet::Xdp};

/// Is this the first packet, repeated, of a connection whose peer has been declared dead before it answered? Then it
/// may go elsewhere. A mere retransmission never does: functions need not be idempotent.
#[inline(always)]
pub(super) fn may_go_elsewhere(s: &Segment, flow: *mut Flow) -> bool {
    // SAFETY: a live map value; words read one by one.
    let Target::Peer(number) = Target::from(unsafe { (*flow).target }) else { return false };
    is_first(s, flow) && maps::peer(number).is_none_or(|peer| peer.state == DEAD)
}

#[inline(always)]
fn is_first(s: &Segment, flow: *const Flow) -> bool {
    // SAFETY: as above.
    unsafe { s.carries_data() && s.client_isn() == (*flow).client_isn && s.our_isn() == (*flow).our_isn }
}

/// An error is a verdict that leaves the packet as it is.
#[inline(always)]
pub(super) fn decide(mut x: Xdp, key: &FlowKey, flow: *mut Flow, live: bool, plan: &mut Plan) -> Result<(), Verdict> {
    let s = &plan.segment;
    let first = is_first(s, flow);
    // SAFETY: as above; several CPUs may write these fields, each a single store.
    let target = unsafe {
        (*flow).last_ns = h::bpf_ktime_get_coarse_ns();
        (*flow).target
    };
    match target.into() {
        Target::Peer(peer) => {
            if finish(s.flags, CLIENT_FINISHED, flow) && live {
                maps::retire(key, flow);
            }
            plan.rewrite(Rewrite::Encapsulate { peer, first }, Verdict::LaterToPeer);
            Ok(())
        }
        Target::Refused(answer) => refused(flow, answer, plan),
        Target::Local(listener) if first => {
            Err(if first::hint_local(x, listener, 0) { Verdict::FirstRepeated } else { Verdict::WithoutHint })
        }
        Target::Local(_) => {
            // Nothing of ours has been acknowledged yet: the first packet may be lost, and the stack would answer a
            // later one with a reset.
            // SAFETY: as above.
            let early = unsafe { s.our_isn() == (*flow).our_isn } && !s.has(RST);
            Err(match early {
                false => Verdict::LaterToLocal,
                true if x.set_hint(Hint::new(Kind::LocalEarly, 0)) => Verdict::EarlyToLocal,
                true => Verdict::WithoutHint,
            })
        }
    }
}

/// Notes FIN and RST; true if the connection has ended.
#[inline(always)]
pub(super) fn finish(flags: u8, side: u8, flow: *mut Flow) -> bool {
    if flags & (FIN | RST) == 0 {
        return false;
    }
    // SAFETY: a live map value. A lost update of two CPUs delays the eviction, nothing more.
    unsafe {
        (*flow).finished |= if flags & RST != 0 { FINISHED } else { side };
        (*flow).finished == FINISHED
    }
}

/// A client that was refused may still be sending its body: it gets the answer again until it acknowledges it, and its
/// data are acknowledged and thrown away, so that it reads the answer instead of a reset.
#[inline(always)]
fn refused(flow: *mut Flow, answer: u32, plan: &mut Plan) -> Result<(), Verdict> {
    let s = &plan.segment;
    if s.has(RST) || s.payload_len == 0 && !s.has(FIN) {
        return Err(Verdict::RefusalDone);
    }
    // SAFETY: as above.
    let our_isn = unsafe { (*flow).our_isn };
    if s.our_isn() == our_isn {
        let refusal = Refusal { sequence: our_isn.wrapping_add(1), answer };
        plan.rewrite(Rewrite::Answer(refusal), Verdict::RefusalRepeated);
        return Ok(());
    }
    let len = maps::answer(answer).map_or(0, |answer| answer.len);
    // Behind SYN, answer and FIN.
    let sequence = our_isn.wrapping_add(2).wrapping_add(len);
    plan.rewrite(Rewrite::Ack { sequence }, Verdict::RefusalAcked);
    Ok(())
}
