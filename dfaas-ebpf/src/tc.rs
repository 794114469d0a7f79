//! TC: sockets for placed connections on the way in, the tunnel on the way out.

mod place;
mod return_path;

use aya_ebpf::bindings::__sk_buff;
use dfaas_common::{
    address::AddressV4,
    route::NO_FUNCTION,
    verdict::{Action, Verdict},
};

use crate::{count, packet::Skb};

/// Let other programs have the packet: on TCX, `TC_ACT_OK` would end the chain.
const NEXT: i32 = -1;
const SHOT: i32 = 2;

#[inline(always)]
pub(crate) fn ingress(ctx: *mut __sk_buff) -> i32 {
    match place::place(Skb::new(ctx)) {
        // Not from XDP: not counted either, most of the host's traffic is of this kind.
        None => NEXT,
        Some(verdict) => {
            count::verdict(verdict.code(), NO_FUNCTION, AddressV4::UNSPECIFIED);
            if verdict.action() == Action::Drop { SHOT } else { NEXT }
        }
    }
}

#[inline(always)]
pub(crate) fn egress(ctx: *mut __sk_buff) -> i32 {
    match return_path::encapsulate(Skb::new(ctx)) {
        None => NEXT,
        Some(Ok(action)) => {
            count::verdict(Verdict::ReturnSent.code(), NO_FUNCTION, AddressV4::UNSPECIFIED);
            action
        }
        Some(Err(verdict)) => {
            count::verdict(verdict.code(), NO_FUNCTION, AddressV4::UNSPECIFIED);
            SHOT
        }
    }
}
