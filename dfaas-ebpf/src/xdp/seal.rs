//! Tags over whole packets, as [`dfaas_common::tunnel::tag`] makes them, of packets where they lie.

use core::arch::asm;

use aya_ebpf::{bindings::xdp_md, cty::c_void, helpers::bpf_loop};
use dfaas_common::{
    packet::Segment,
    peer::Seal,
    siphash::Stream,
    tunnel::{LATER, MAX_TAGGED, last_word, preamble},
};

use crate::packet::{Packet, Xdp};

/// Words between two calls of the loop's body, which cost more than a word.
const WORDS_A_STEP: u32 = 32;
/// The verifier wants to see that an offset is small.
const OFFSETS: u32 = 0x3fff;
const _: () = assert!(MAX_TAGGED + 128 < OFFSETS);

/// Length of the packet around a segment, bytes from its IPv4 header on.
#[inline(always)]
pub(super) fn len(s: &Segment) -> u32 {
    20 + s.header_len + s.payload_len
}

/// What proves the packet of `len` bytes at `at` under this seal, as this kind.
#[inline(always)]
pub(super) fn proof(x: Xdp, at: u32, len: u32, seal: &Seal, kind: u8, marks: u8) -> Option<u64> {
    if kind == LATER {
        return Some(seal.token);
    }
    if len > MAX_TAGGED {
        return None;
    }
    let tag = packet_tag(x.context(), at, seal.key.0, seal.key.1, preamble(kind, marks, seal.epoch as u16, len));
    // One in 2^64 packets is sent once more.
    (tag != 0).then_some(tag)
}

struct Walk {
    ctx: *mut xdp_md,
    stream: Stream,
    at: u32,
    end: u32,
}

/// 0 if the frame is shorter than its headers say. A function of its own that the verifier checks once and alone.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn packet_tag(ctx: *mut xdp_md, at: u32, key0: u64, key1: u64, preamble: u64) -> u64 {
    let len = (preamble >> 32) as u32;
    let mut walk = Walk { ctx, stream: Stream::new(key0, key1), at, end: at.wrapping_add(len & !7) };
    walk.stream.take(preamble);
    let steps = len / (8 * WORDS_A_STEP) + 1;
    // SAFETY: `step` fits the pointer it is given.
    unsafe { bpf_loop(steps, step as *mut c_void, (&raw mut walk).cast(), 0) };
    if walk.at != walk.end {
        return 0;
    }
    if let Some(last) = last_word(len) {
        let Some(word) = word(Xdp::new(ctx), at.wrapping_add(last)) else { return 0 };
        walk.stream.take(word);
    }
    walk.stream.finish()
}

unsafe extern "C" fn step(_: u32, walk: *mut Walk) -> i64 {
    // SAFETY: bpf_loop hands back the pointer given to it above.
    let walk = unsafe { &mut *walk };
    let x = Xdp::new(walk.ctx);
    let mut stream = walk.stream;
    let mut at = walk.at;
    for _ in 0..WORDS_A_STEP {
        if at >= walk.end {
            break;
        }
        let Some(word) = word(x, at) else { return 1 };
        stream.take(word);
        at += 8;
    }
    walk.stream = stream;
    walk.at = at;
    0
}

/// Eight bytes of the packet, as a little-endian number. By the instruction itself, which does not ask for alignment; the
/// compiler would take eight loads.
#[inline(always)]
fn word(x: Xdp, at: u32) -> Option<u64> {
    let (data, end) = x.bounds();
    let from = data + (at & OFFSETS) as usize;
    if from + 8 > end {
        return None;
    }
    let word: u64;
    // SAFETY: eight bytes inside the packet, as just checked.
    unsafe { asm!("{w} = *(u64 *)({p} + 0)", w = out(reg) word, p = in(reg) from) };
    Some(u64::from_le(word))
}
