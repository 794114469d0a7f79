//! XDP: which way a packet goes.
//!
//! The work is done in stages, each a function with a stack frame of its own, because one chain of calls would not fit
//! into 512 bytes: read the packet ([`decide`], [`tunnel_in`]), [`choose`] a target, record it ([`first`],
//! [`tunnel_in::bounced`]), rewrite the packet ([`reply`], [`tunnel`]). What one stage finds is in the [`Plan`].

mod choose;
mod decide;
mod first;
mod known;
pub(crate) mod observe;
mod reply;
mod tunnel;
mod tunnel_in;

use aya_ebpf::{
    bindings::{
        xdp_action::{XDP_DROP, XDP_PASS, XDP_TX},
        xdp_md,
    },
    helpers as h,
};
use dfaas_common::{
    flow::Flow,
    packet::{Mac, Segment},
    verdict::{Action, Verdict},
};

use crate::{
    count,
    maps::Older,
    packet::Xdp,
    pick::{NOBODY, Picked},
};

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Act {
    /// Nothing: the verdict stands.
    Nothing = 0,
    // Further decisions.
    /// A tunnel packet: look inside.
    OpenTunnel,
    /// A client's first packet: choose, and record it.
    First,
    /// A connection from a peer: take it or not.
    Admit,
    /// A connection that a peer sent back: choose again, and record it.
    TakeBack,
    // Rewriting. Arguments are in the plan's `a` and `b`.
    SynAck,
    /// `a`: our sequence number, `b`: index of the answer.
    Answer,
    /// `a`: our sequence number.
    Ack,
    /// `a`: peer, `b`: non-zero if this is a FIRST.
    Encapsulate,
    /// `a`: peer, `b`: kind of hint for TC.
    PassInner,
    /// To the client whose link-layer address is in the plan.
    ReturnInner,
    /// Take the tunnel off, then `Answer`.
    AnswerInner,
    /// `a`: the next peer.
    HandOn,
}

/// What the stages tell each other.
#[repr(C)]
struct Plan {
    /// [`Verdict::code`].
    code: u32,
    a: u32,
    b: u32,
    /// Where the segment's payload starts in the frame.
    payload_at: u32,
    segment: Segment,
    picked: Picked,
    /// The peer not to choose.
    without: u32,
    mac: Mac,
    /// Interface to send by; 0: the one the packet came in by.
    ifindex: u32,
    /// For events.
    source: u32,
    /// [`Older`]: saves looking for what has to give way to a new decision.
    older: u32,
    /// [`RENEWED`](dfaas_common::tunnel::RENEWED) if this is the first packet of another connection than the last one known of
    /// its client port. Never for one that is repeated: it may be its own connection's socket that is found.
    marks: u8,
}

impl Plan {
    #[inline(always)]
    fn new() -> Self {
        Self {
            code: Verdict::NotSteered.code(),
            a: 0,
            b: 0,
            payload_at: 0,
            segment: Segment::NONE,
            picked: Picked::BY_PROXY,
            without: NOBODY,
            mac: Mac::default(),
            ifindex: 0,
            source: 0,
            older: Older::Nowhere as u32,
            marks: 0,
        }
    }

    /// Nothing more to do.
    #[inline(always)]
    fn done(&mut self, verdict: Verdict) -> u32 {
        self.code = verdict.code();
        Act::Nothing as u32
    }

    #[inline(always)]
    fn then(&mut self, act: Act, a: u32, b: u32, verdict: Verdict) -> u32 {
        self.a = a;
        self.b = b;
        self.code = verdict.code();
        act as u32
    }

    /// Where answers to the client of this flow go.
    #[inline(always)]
    fn towards_client(&mut self, flow: *const Flow) {
        // SAFETY: a live map value.
        unsafe {
            self.mac = Mac::new((*flow).mac);
            self.ifindex = (*flow).ifindex;
        }
    }
}

#[inline(always)]
pub(crate) fn run(ctx: *mut xdp_md) -> u32 {
    let x = Xdp::new(ctx);
    let mut plan = Plan::new();
    let act = if x.is_forged() { plan.done(Verdict::HintForged) } else { decide_all(x, &mut plan) };
    let failed = rewrite(x, act, &plan);
    let code = if failed == 0 { plan.code } else { failed };
    count::verdict(code, plan.picked.function, plan.source);
    #[cfg(feature = "log")]
    if code != Verdict::NotSteered.code() {
        let ctx = aya_ebpf::programs::XdpContext::new(ctx);
        aya_log_ebpf::trace!(
            &ctx,
            "verdict {} function {} from {:i}",
            code & 0xff,
            plan.picked.function,
            u32::from_be(plan.source)
        );
    }
    match code >> 8 & 0xff {
        a if a == Action::Pass as u32 => XDP_PASS,
        a if a == Action::Drop as u32 => XDP_DROP,
        _ if plan.ifindex == 0 || plan.ifindex == x.ifindex() => XDP_TX,
        // SAFETY: no pointers.
        _ => unsafe { h::bpf_redirect(plan.ifindex, 0) as u32 },
    }
}

#[inline(always)]
fn decide_all(x: Xdp, plan: &mut Plan) -> u32 {
    let mut act = decide::decide(x, plan);
    if act == Act::OpenTunnel as u32 {
        act = tunnel_in::decide(x, plan);
        if act == Act::Admit as u32 {
            return tunnel_in::handoff::decide(x, plan);
        }
        if act == Act::TakeBack as u32 {
            choose::choose(x, plan);
            return tunnel_in::bounced::record(plan);
        }
        return act;
    }
    if act == Act::First as u32 {
        choose::choose(x, plan);
        return first::record(x, plan);
    }
    act
}

/// 0, or the code of the verdict that says what went wrong.
#[inline(always)]
fn rewrite(x: Xdp, act: u32, plan: &Plan) -> u32 {
    const SYN_ACK: u32 = Act::SynAck as u32;
    const ANSWER: u32 = Act::Answer as u32;
    const ACK: u32 = Act::Ack as u32;
    const ENCAPSULATE: u32 = Act::Encapsulate as u32;
    const PASS_INNER: u32 = Act::PassInner as u32;
    const RETURN_INNER: u32 = Act::ReturnInner as u32;
    const ANSWER_INNER: u32 = Act::AnswerInner as u32;
    const HAND_ON: u32 = Act::HandOn as u32;
    match act {
        SYN_ACK => reply::syn_ack(x, &plan.segment),
        ANSWER => reply::answer(x, &plan.segment, plan.a, plan.b),
        ACK => reply::ack(x, &plan.segment, plan.a),
        ENCAPSULATE => tunnel::encapsulate(x, plan.a, plan.b, plan.marks),
        PASS_INNER => tunnel::pass_inner(x, plan.b, plan.a, plan.marks),
        RETURN_INNER => tunnel::return_inner(x, plan),
        ANSWER_INNER => match tunnel::uncover(x, plan) {
            0 => reply::answer(x, &plan.segment, plan.a, plan.b),
            failed => failed,
        },
        HAND_ON => tunnel::hand_on(x, plan.a, plan.marks),
        _ => 0,
    }
}
