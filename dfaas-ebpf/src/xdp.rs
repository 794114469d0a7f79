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
mod seal;
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
    address::AddressV4,
    flow::Flow,
    hint::Hint,
    packet::{Mac, Segment},
    verdict::{Action, Verdict},
};

use crate::{
    count,
    maps::Older,
    packet::Xdp,
    pick::{NOBODY, Picked},
};

/// What is to be done next with a packet that came in by the network.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Next {
    /// Nothing: it is decided.
    Decided = 0,
    /// A tunnel packet: look inside.
    OpenTunnel,
    /// A client's first packet: choose, and record it.
    Choose,
    /// A client's first packet again: look whether it is the same call.
    Again,
}

/// The same of a tunnel packet.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Inside {
    Decided = 0,
    /// A connection from a peer: take it or not.
    Admit,
    /// A connection that a peer sent back: choose again, and record it.
    TakeBack,
}

/// An answer of this node's own.
#[derive(Clone, Copy)]
struct Refusal {
    /// Our initial sequence number.
    cookie: u32,
    /// Index of the text.
    answer: u32,
}

/// A bare acknowledgement of this node's own.
#[derive(Clone, Copy)]
struct Ack {
    /// Our initial sequence number.
    cookie: u32,
    sequence: u32,
}

/// How the packet is rewritten.
#[derive(Clone, Copy)]
enum Rewrite {
    Nothing,
    SynAck,
    Answer(Refusal),
    Ack(Ack),
    Encapsulate {
        peer: u32,
        /// With a tag, not with the token.
        first: bool,
    },
    /// To the stack, without the tunnel.
    PassInner(Hint),
    /// To the client whose link-layer address is in the plan.
    ReturnInner,
    /// Take the tunnel off, then answer.
    AnswerInner(Refusal),
    /// To the next peer.
    HandOn {
        peer: u32,
    },
}

/// What the stages tell each other.
#[repr(C)]
struct Plan {
    /// [`Verdict::code`].
    code: u32,
    rewrite: Rewrite,
    /// Of a tunnel packet: the peer that sent it.
    sender: u32,
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
    source: AddressV4,
    /// Saves looking for what has to give way to a new decision.
    older: Older,
    /// [`RENEWED`](dfaas_common::tunnel::RENEWED) if this is the first packet of another connection than the last one known of
    /// its client port. Never for one that is repeated: it may be its own connection's socket that is found.
    marks: u8,
}

impl Plan {
    #[inline(always)]
    fn new() -> Self {
        Self {
            code: Verdict::NotSteered.code(),
            rewrite: Rewrite::Nothing,
            sender: NOBODY,
            payload_at: 0,
            segment: Segment::NONE,
            picked: Picked::BY_PROXY,
            without: NOBODY,
            mac: Mac::default(),
            ifindex: 0,
            source: AddressV4::UNSPECIFIED,
            older: Older::Nowhere,
            marks: 0,
        }
    }

    /// The packet stays as it is.
    #[inline(always)]
    fn leave(&mut self, verdict: Verdict) {
        self.code = verdict.code();
    }

    #[inline(always)]
    fn rewrite(&mut self, rewrite: Rewrite, verdict: Verdict) {
        self.rewrite = rewrite;
        self.code = verdict.code();
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
    if x.is_forged() {
        plan.leave(Verdict::HintForged);
    } else {
        decide_all(x, &mut plan);
    }
    let failed = rewrite(x, &plan);
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
            plan.source.bits()
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
fn decide_all(x: Xdp, plan: &mut Plan) {
    match decide::decide(x, plan) {
        Next::Decided => {}
        Next::Choose => {
            choose::choose(x, plan);
            first::record(x, plan);
        }
        Next::Again => known::again(x, plan),
        Next::OpenTunnel => match tunnel_in::decide(x, plan) {
            Inside::Decided => {}
            Inside::Admit => tunnel_in::handoff::decide(x, plan),
            Inside::TakeBack => {
                choose::choose(x, plan);
                tunnel_in::bounced::record(plan);
            }
        },
    }
}

/// 0, or the code of the verdict that says what went wrong.
#[inline(always)]
fn rewrite(x: Xdp, plan: &Plan) -> u32 {
    match plan.rewrite {
        Rewrite::Nothing => 0,
        Rewrite::SynAck => reply::syn_ack(x, &plan.segment),
        Rewrite::Answer(refusal) => reply::answer(x, &plan.segment, refusal),
        Rewrite::Ack(ack) => reply::ack(x, &plan.segment, ack),
        Rewrite::Encapsulate { peer, first } => tunnel::encapsulate(x, peer, first, plan.marks),
        Rewrite::PassInner(hint) => tunnel::pass_inner(x, hint),
        Rewrite::ReturnInner => tunnel::return_inner(x, plan),
        Rewrite::AnswerInner(refusal) => match tunnel::uncover(x, plan) {
            0 => reply::answer(x, &plan.segment, refusal),
            failed => failed,
        },
        Rewrite::HandOn { peer } => tunnel::hand_on(x, peer, plan.marks),
    }
}
