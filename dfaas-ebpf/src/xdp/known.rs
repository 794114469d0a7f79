//! Packets of a connection that is decided.

use aya_ebpf::helpers as h;
use dfaas_common::{
    flow::{CLIENT_HEARD, FINISHED, Flow, FlowKey, Listener, Target, end_by_client},
    hint::{Hint, Kind},
    http::Name,
    packet::{self, FIN, RST, Segment},
    peer::DEAD,
    verdict::Verdict,
};

use super::{Ack, Next, Plan, Refusal, Rewrite, first};
use crate::{maps, packet::Xdp, request::read_name};

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
pub(super) fn decide(mut x: Xdp, key: &FlowKey, flow: *mut Flow, live: bool, plan: &mut Plan) -> Result<Next, Verdict> {
    let s = &plan.segment;
    let first = is_first(s, flow);
    // SAFETY: as above; several CPUs may write these fields, each a single store.
    let target = unsafe {
        (*flow).last_ns = h::bpf_ktime_get_coarse_ns();
        (*flow).target
    };
    match target.into() {
        Target::Peer(peer) => {
            if note(flow, marks(s, flow)) && live {
                maps::retire(key, flow);
            }
            plan.rewrite(Rewrite::Encapsulate { peer, first }, Verdict::LaterToPeer);
            Ok(Next::Decided)
        }
        Target::Refused(answer) => refused(flow, answer, plan),
        Target::Local(Listener::Placed) if first => Ok(Next::Again),
        Target::Local(Listener::Proxy) if first => Err(again_for(x, Listener::Proxy, Verdict::FirstRepeated)),
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

/// What a client's segment tells of its connection's state.
#[inline(always)]
fn marks(s: &Segment, flow: *const Flow) -> u8 {
    // SAFETY: as above.
    let (our_isn, acknowledged) = unsafe { ((*flow).our_isn, (*flow).acknowledged) };
    let heard = if s.has(packet::ACK) && s.our_isn() != our_isn { CLIENT_HEARD } else { 0 };
    heard | end_by_client(s, acknowledged)
}

/// Notes marks; true if the connection has ended by them.
#[inline(always)]
pub(super) fn note(flow: *mut Flow, marks: u8) -> bool {
    // SAFETY: a live map value. A lost update of two CPUs delays the eviction, nothing more.
    let old = unsafe { (*flow).finished };
    let new = old | marks;
    if new == old {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*flow).finished = new };
    new & FINISHED == FINISHED
}

/// The first packet again, of a call that was placed here. It may be another one than was judged: the stack drops a packet
/// whose checksum is wrong, which nobody looks at before. So what was placed as a call of one function is not served as one
/// of another. A stage of its own.
#[inline(never)]
pub(super) fn again(x: Xdp, plan: &mut Plan) {
    let s = &plan.segment;
    let mut name = Name::default();
    let is_call = read_name(&x, plan.payload_at, s.payload_len, &mut name) != 0;
    let Some((flow, _)) = maps::flow(&FlowKey::v4(s.source, s.source_port)) else {
        return plan.leave(Verdict::EarlyLater);
    };
    // SAFETY: as above.
    let function = unsafe { (*flow).function };
    plan.picked.function = function;
    let verdict = if is_call && maps::route(&name).is_some_and(|route| route.function == function) {
        again_for(x, Listener::Placed, Verdict::FirstRepeated)
    } else {
        // SAFETY: as above.
        unsafe { (*flow).target = Target::Local(Listener::Proxy).into() };
        again_for(x, Listener::Proxy, Verdict::FirstChanged)
    };
    plan.leave(verdict);
}

#[inline(always)]
fn again_for(x: Xdp, listener: Listener, verdict: Verdict) -> Verdict {
    if first::hint_local(x, listener, 0) { verdict } else { Verdict::WithoutHint }
}

/// A client that was refused may still be sending its body: it gets the answer again until it acknowledges it, and its
/// data are acknowledged and thrown away, so that it reads the answer instead of a reset.
#[inline(always)]
fn refused(flow: *mut Flow, answer: u32, plan: &mut Plan) -> Result<Next, Verdict> {
    let s = &plan.segment;
    if s.has(RST) || s.payload_len == 0 && !s.has(FIN) {
        return Err(Verdict::RefusalDone);
    }
    // SAFETY: as above.
    let our_isn = unsafe { (*flow).our_isn };
    if s.our_isn() == our_isn {
        let refusal = Refusal { cookie: our_isn, answer };
        plan.rewrite(Rewrite::Answer(refusal), Verdict::RefusalRepeated);
        return Ok(Next::Decided);
    }
    let len = maps::answer(answer).map_or(0, |answer| answer.len);
    // Behind SYN, answer and FIN.
    let sequence = our_isn.wrapping_add(2).wrapping_add(len);
    let ack = Ack { cookie: our_isn, sequence };
    plan.rewrite(Rewrite::Ack(ack), Verdict::RefusalAcked);
    Ok(Next::Decided)
}
