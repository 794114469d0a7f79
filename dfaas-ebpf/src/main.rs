//! The kernel programs of a node. Glue only: what a packet means is decided in `dfaas-common`.
//!
//! * `dfaas_xdp`: answers handshakes, decides each connection, moves packets through the tunnel
//! * `dfaas_tc_in`: makes the sockets of connections placed on this node
//! * `dfaas_tc_out`: sends answers on handed-off connections back through the tunnel
//! * `dfaas_observe`: only counts calls (mode `observe`)
//! * `dfaas_pass`: does nothing; veth wants a program at the far end
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(unreachable_pub, reason = "programs and global functions are exported from the object, not from the crate")]

mod atomic;
mod count;
mod frozen;
mod kfunc;
mod maps;
mod options;
mod packet;
mod pick;
mod request;
mod socket;
mod tc;
mod xdp;

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

#[xdp]
pub fn dfaas_xdp(ctx: XdpContext) -> u32 {
    xdp::run(ctx.ctx)
}

#[xdp]
pub fn dfaas_observe(ctx: XdpContext) -> u32 {
    xdp::observe::run(ctx.ctx)
}

#[xdp]
pub fn dfaas_pass(_: XdpContext) -> u32 {
    XDP_PASS
}

#[classifier]
pub fn dfaas_tc_in(ctx: TcContext) -> i32 {
    tc::ingress(ctx.skb.skb)
}

#[classifier]
pub fn dfaas_tc_out(ctx: TcContext) -> i32 {
    tc::egress(ctx.skb.skb)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: a program with a path to here is refused by the verifier.
    loop {}
}

/// The helpers and the kfunc used here are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
