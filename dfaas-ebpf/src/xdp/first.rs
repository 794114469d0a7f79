//! The first data packet of a connection: record the choice, count it.

use aya_ebpf::helpers as h;
use dfaas_common::{
    flow::{CLIENT_FINISHED, Flow, FlowKey, Listener, StoredTarget, Target},
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
        target: StoredTarget::default(),
        client_isn: s.client_isn(),
        our_isn: s.our_isn(),
        newer_isn: s.client_isn(),
        function: plan.picked.function,
        ifindex: x.ifindex(),
        acknowledged: s.sequence,
        // SAFETY: no arguments.
        last_ns: unsafe { h::bpf_ktime_get_coarse_ns() },
    };
    let mut target = plan.picked.target;
    if let Target::Peer(_) = target {
        flow.target = target.into();
        if !maps::insert_forwarded(&key, &flow, plan.older) {
            plan.code = Verdict::FlowTableFull.code();
            target = Target::Local(Listener::Proxy);
        }
    }
    if let Target::Local(listener) = target
        && !hint_local(x, listener, plan.marks)
    {
        // The stack has not seen the handshake and would reset the connection: a plain answer is better.
        plan.code = Verdict::FirstWithoutHint.code();
        target = Target::Refused(ANSWER_UNAVAILABLE);
    }
    plan.picked.target = target;
    account(plan.picked);
    plan.rewrite = match target {
        Target::Peer(peer) => return plan.rewrite = Rewrite::Encapsulate { peer, first: true },
        Target::Refused(answer) => Rewrite::Answer(Refusal { cookie: plan.segment.our_isn(), answer }),
        Target::Local(_) => Rewrite::Nothing,
    };
    flow.target = target.into();
    maps::insert_decided(&key, &flow, plan.older);
}

/// Tells TC to make the socket here, on this listener; false if that cannot be.
#[inline(always)]
pub(super) fn hint_local(mut x: Xdp, listener: Listener, marks: u8) -> bool {
    x.set_hint(Hint::new(first_kind(listener), 0).renewing(marks & RENEWED != 0))
}

/// What the first packet of a connection is that this listener is to have.
#[inline(always)]
pub(super) fn first_kind(listener: Listener) -> Kind {
    match listener {
        Listener::Placed => Kind::LocalFirst,
        Listener::Proxy => Kind::ProxyFirst,
    }
}

#[inline(always)]
fn account(picked: Picked) {
    let function = picked.function;
    if function == NO_FUNCTION {
        return;
    }
    count::function(function, field!(seen));
    match picked.target {
        Target::Peer(number) => {
            count::function(function, field!(forwarded));
            count::pair(function, number, field!(forwarded));
        }
        Target::Local(listener) => kept(function, listener),
        Target::Refused(answer) => refused(function, answer),
    }
}

/// Counts a call that stays here.
#[inline(always)]
pub(super) fn kept(function: u32, listener: Listener) {
    match listener {
        Listener::Placed => count::function(function, field!(local)),
        Listener::Proxy => count::function(function, field!(to_proxy)),
    }
}

/// Counts a call that gets this answer.
#[inline(always)]
pub(super) fn refused(function: u32, answer: u32) {
    match answer {
        ANSWER_UNAVAILABLE => count::function(function, field!(unavailable)),
        _ => count::function(function, field!(refused)),
    }
}
