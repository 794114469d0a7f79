//! The first data packet of a connection: record the choice, count it.

use aya_ebpf::helpers as h;
use dfaas_common::{
    flow::{CLIENT_FINISHED, Flow, FlowKey, LOCAL, PEER, REFUSED, TO_PROXY},
    hint::{Hint, Kind},
    packet::{Eth, FIN},
    route::NO_FUNCTION,
    settings::ANSWER_UNAVAILABLE,
    tunnel::RENEWED,
    verdict::Verdict,
};

use super::{Plan, Refusal, Rewrite};
use crate::{
    count, field, maps,
    packet::{Packet, Xdp},
    pick::Picked,
};

#[inline(never)]
pub(super) fn record(x: Xdp, plan: &mut Plan) {
    let Some(eth) = x.get::<Eth>(0) else { return plan.leave(Verdict::LoadFailed) };
    let s = &plan.segment;
    let key = FlowKey::v4(s.source, s.source_port);
    let mut flow = Flow {
        mac: eth.source,
        finished: if s.has(FIN) { CLIENT_FINISHED } else { 0 },
        bounces: 0,
        target: plan.picked.target,
        detail: plan.picked.detail,
        client_isn: s.client_isn(),
        our_isn: s.our_isn(),
        newer_isn: s.client_isn(),
        function: plan.picked.function,
        ifindex: x.ifindex(),
        reserved: 0,
        // SAFETY: no arguments.
        last_ns: unsafe { h::bpf_ktime_get_coarse_ns() },
    };
    if flow.target == PEER && !maps::insert_forwarded(&key, &flow, plan.older) {
        plan.code = Verdict::FlowTableFull.code();
        plan.picked.target = LOCAL;
        plan.picked.detail = TO_PROXY;
        flow.target = LOCAL;
        flow.detail = TO_PROXY;
    }
    if flow.target == LOCAL && !hint_local(x, flow.detail, plan.marks) {
        // The stack has not seen the handshake and would reset the connection: a plain answer is better.
        plan.code = Verdict::FirstWithoutHint.code();
        plan.picked.target = REFUSED;
        plan.picked.detail = ANSWER_UNAVAILABLE;
        flow.target = REFUSED;
        flow.detail = ANSWER_UNAVAILABLE;
    }
    if flow.target != PEER {
        maps::insert_decided(&key, &flow, plan.older);
    }
    account(plan.picked);
    let (detail, sequence) = (plan.picked.detail, plan.segment.acknowledgement);
    plan.rewrite = match flow.target {
        PEER => Rewrite::Encapsulate { peer: detail, first: true },
        REFUSED => Rewrite::Answer(Refusal { sequence, answer: detail }),
        _ => Rewrite::Nothing,
    };
}

/// Tells TC to make the socket here, on this listener; false if that cannot be.
#[inline(always)]
pub(super) fn hint_local(mut x: Xdp, listener: u32, marks: u8) -> bool {
    x.set_hint(Hint::new(first_kind(listener), 0).renewing(marks & RENEWED != 0))
}

/// What the first packet of a connection is that this listener is to have.
#[inline(always)]
pub(super) fn first_kind(listener: u32) -> Kind {
    if listener == TO_PROXY { Kind::ProxyFirst } else { Kind::LocalFirst }
}

#[inline(always)]
fn account(picked: Picked) {
    let function = picked.function;
    if function == NO_FUNCTION {
        return;
    }
    count::function(function, field!(seen));
    match picked.target {
        LOCAL if picked.detail == TO_PROXY => count::function(function, field!(to_proxy)),
        LOCAL => count::function(function, field!(local)),
        PEER => {
            count::function(function, field!(forwarded));
            count::pair(function, picked.detail, field!(forwarded));
        }
        _ if picked.detail == ANSWER_UNAVAILABLE => count::function(function, field!(unavailable)),
        _ => count::function(function, field!(refused)),
    }
}
