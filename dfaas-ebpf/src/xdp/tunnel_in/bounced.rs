//! A connection that a peer has sent back: the next target takes it.

use dfaas_common::{
    flow::{FlowKey, StoredTarget, Target},
    hint::Hint,
    packet::Segment,
    route::NO_FUNCTION,
    settings::ANSWER_BUSY,
    tunnel::RENEWED,
    verdict::Verdict,
};

use crate::{
    count, field, maps,
    xdp::{
        Inside, Plan, Refusal, Rewrite,
        first::{first_kind, kept, refused},
    },
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
        (*flow).target == StoredTarget::from(Target::Peer(number))
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
    let function = plan.picked.function;
    let mut target = plan.picked.target;
    if function != NO_FUNCTION {
        count::pair(function, plan.without, field!(bounced));
    }
    if matches!(target, Target::Peer(_)) && bounces > MAX_BOUNCES {
        target = Target::Refused(ANSWER_BUSY);
    }
    // SAFETY: as above.
    unsafe { (*flow).target = target.into() };
    if !matches!(target, Target::Peer(_)) {
        // Before the entry moves: its old place may be reused at once.
        plan.towards_client(flow);
        // The connection is no peer's any more. The count as forwarded stays: it was.
        maps::retire(&key, flow);
    }
    // A call of no function has no counters.
    match target {
        Target::Peer(peer) => {
            count::pair(function, peer, field!(forwarded));
            plan.rewrite(Rewrite::HandOn { peer }, Verdict::BouncedToPeer);
        }
        Target::Local(listener) => {
            kept(function, listener);
            let hint = Hint::new(first_kind(listener), 0).renewing(plan.marks & RENEWED != 0);
            plan.rewrite(Rewrite::PassInner(hint), Verdict::BouncedToLocal);
        }
        Target::Refused(answer) => {
            refused(function, answer);
            let refusal = Refusal { cookie: plan.segment.our_isn(), answer };
            plan.rewrite(Rewrite::AnswerInner(refusal), Verdict::BouncedRefused);
        }
    }
}
