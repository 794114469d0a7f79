//! Chooses the target of a connection by the function that its first packet calls.

use dfaas_common::{
    flow::{Listener, Target},
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

/// Fills in `picked` and, for a connection that nobody had before, the verdict.
#[inline(never)]
pub(super) fn choose(x: Xdp, plan: &mut Plan) {
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
    if let Target::Local(listener) = picked.target
        && socket::state(&x, Tuple::from(s).to(listener)) != socket::LISTEN
    {
        // Nobody listens here: a peer, or an error.
        let known = picked.function != NO_FUNCTION;
        if known {
            picked = pick(&name, plan.without | NOT_HERE);
        }
        if !known || !matches!(picked.target, Target::Peer(_)) {
            picked.target = Target::Refused(ANSWER_UNAVAILABLE);
        }
        verdict = verdict_of(picked);
    }
    plan.picked = picked;
    plan.code = verdict.code();
}

#[inline(always)]
fn verdict_of(picked: Picked) -> Verdict {
    match picked.target {
        Target::Local(Listener::Proxy) => Verdict::FirstToProxy,
        Target::Local(Listener::Placed) => Verdict::FirstToLocal,
        Target::Peer(_) => Verdict::FirstToPeer,
        Target::Refused(ANSWER_UNAVAILABLE) => Verdict::FirstUnavailable,
        Target::Refused(_) => Verdict::FirstRefused,
    }
}
