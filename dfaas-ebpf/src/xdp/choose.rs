//! Chooses the target of a connection by the function that its first packet calls.

use dfaas_common::{
    flow::{LOCAL, PEER, REFUSED, TO_PROXY},
    http::Name,
    route::NO_FUNCTION,
    settings::ANSWER_UNAVAILABLE,
    verdict::Verdict,
};

use super::Plan;
use crate::{
    maps,
    packet::Xdp,
    pick::{NOBODY, NOT_HERE, Picked, pick},
    request::read_name,
    socket::{self, Tuple},
};

/// Fills in `picked` and, for a connection that nobody had before, the verdict. Returns the target.
#[inline(never)]
pub(super) fn choose(x: Xdp, plan: &mut Plan) -> u32 {
    let s = &plan.segment;
    let mut name = Name::default();
    let mut verdict = Verdict::UnknownFunction;
    let mut picked = Picked::BY_PROXY;
    // The answers of a peer that calls us as a client could not come back through its own tunnel.
    if plan.without == NOBODY && maps::peer_number(s.source).is_some() {
        verdict = Verdict::PeerIsClient;
    } else if read_name(&x, plan.payload_at, s.payload_len, &mut name) == 0 {
        verdict = Verdict::NotACall;
    } else {
        picked = pick(&name, plan.without);
        if picked.function != NO_FUNCTION {
            verdict = verdict_of(picked);
        }
    }
    if picked.target == LOCAL && !listening(&x, Tuple::from(s), picked.detail) {
        // Nobody listens here: a peer, or an error.
        let known = picked.function != NO_FUNCTION;
        if known {
            picked = pick(&name, plan.without | NOT_HERE);
        }
        if !known || picked.target != PEER {
            picked.target = REFUSED;
            picked.detail = ANSWER_UNAVAILABLE;
        }
        verdict = verdict_of(picked);
    }
    plan.picked = picked;
    plan.code = verdict.code();
    picked.target
}

#[inline(always)]
fn listening(x: &Xdp, tuple: Tuple, listener: u32) -> bool {
    let tuple = if listener == TO_PROXY { tuple.to_proxy() } else { tuple.to_placed() };
    socket::state(x, tuple) == socket::LISTEN
}

#[inline(always)]
fn verdict_of(picked: Picked) -> Verdict {
    match picked.target {
        LOCAL if picked.detail == TO_PROXY => Verdict::FirstToProxy,
        LOCAL => Verdict::FirstToLocal,
        PEER => Verdict::FirstToPeer,
        _ if picked.detail == ANSWER_UNAVAILABLE => Verdict::FirstUnavailable,
        _ => Verdict::FirstRefused,
    }
}
