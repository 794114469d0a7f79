//! A connection that a peer has sent back: the next target takes it.

use dfaas_common::{
    flow::{Flow, FlowKey, LOCAL, PEER, REFUSED, TO_PROXY},
    hint::Hint,
    packet::Segment,
    route::NO_FUNCTION,
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE},
    tunnel::RENEWED,
    verdict::Verdict,
};

use crate::{
    count, field, maps,
    pick::Picked,
    xdp::{Inside, Plan, Refusal, Rewrite, first::first_kind},
};

/// After so many refusals the call is refused.
const MAX_BOUNCES: u8 = 3;

#[inline(always)]
fn key(s: &Segment) -> FlowKey {
    FlowKey::v4(s.source, s.source_port)
}

/// Is it ours, and with this peer?
#[inline(always)]
pub(super) fn check(number: u32, plan: &mut Plan) -> Result<Inside, Verdict> {
    let s = &plan.segment;
    let (flow, _) = maps::flow(&key(s)).ok_or(Verdict::BouncedBack)?;
    // SAFETY: a live map value; words read one by one.
    let ours = unsafe {
        (*flow).target == PEER
            && (*flow).detail == number
            && (*flow).client_isn == s.client_isn()
            && (*flow).our_isn == s.our_isn()
    };
    if !ours {
        return Err(Verdict::BouncedBack);
    }
    plan.without = number;
    Ok(Inside::TakeBack)
}

/// Records the new choice.
#[inline(never)]
pub(in crate::xdp) fn record(plan: &mut Plan) {
    let key = key(&plan.segment);
    let Some((flow, _)) = maps::flow(&key) else { return plan.leave(Verdict::BouncedBack) };
    // SAFETY: a live map value; another CPU does not handle this client's first packet at the same time.
    let bounces = unsafe {
        (*flow).bounces = (*flow).bounces.wrapping_add(1);
        (*flow).bounces
    };
    let mut picked = plan.picked;
    if picked.function != NO_FUNCTION {
        count::pair(picked.function, plan.without, field!(bounced));
    }
    if picked.target == PEER && bounces > MAX_BOUNCES {
        picked.target = REFUSED;
        picked.detail = ANSWER_BUSY;
    }
    // SAFETY: as above.
    unsafe {
        (*flow).target = picked.target;
        (*flow).detail = picked.detail;
    }
    if picked.target == PEER {
        if picked.function != NO_FUNCTION {
            count::pair(picked.function, picked.detail, field!(forwarded));
        }
        return plan.rewrite(Rewrite::HandOn { peer: picked.detail }, Verdict::BouncedToPeer);
    }
    // Before the entry moves: its old place may be reused at once.
    plan.towards_client(flow);
    settle(&key, flow, picked);
    if picked.target == LOCAL {
        let hint = Hint::new(first_kind(picked.detail), 0).renewing(plan.marks & RENEWED != 0);
        return plan.rewrite(Rewrite::PassInner(hint), Verdict::BouncedToLocal);
    }
    let refusal = Refusal { sequence: plan.segment.acknowledgement, answer: picked.detail };
    plan.rewrite(Rewrite::AnswerInner(refusal), Verdict::BouncedRefused);
}

/// The connection is no peer's any more. The count as forwarded stays: it was.
#[inline(always)]
fn settle(key: &FlowKey, flow: *mut Flow, picked: Picked) {
    maps::retire(key, flow);
    if picked.function == NO_FUNCTION {
        return;
    }
    match picked.target {
        LOCAL if picked.detail == TO_PROXY => count::function(picked.function, field!(to_proxy)),
        LOCAL => count::function(picked.function, field!(local)),
        _ if picked.detail == ANSWER_UNAVAILABLE => count::function(picked.function, field!(unavailable)),
        _ => count::function(picked.function, field!(refused)),
    }
}
