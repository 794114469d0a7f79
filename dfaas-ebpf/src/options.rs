//! TCP options of a packet.

use aya_ebpf::{cty::c_void, helpers::bpf_loop};
use dfaas_common::options::{self, Buffer, MAX_STEPS, Options};

use crate::packet::Packet;

struct Walk<'a> {
    buffer: &'a Buffer,
    options: &'a mut Options,
    at: u32,
    len: u32,
}

unsafe extern "C" fn step(_: u32, walk: *mut Walk<'_>) -> i64 {
    // SAFETY: bpf_loop hands back the pointer given to it below.
    let walk = unsafe { &mut *walk };
    match options::step(walk.buffer, walk.at & 63, walk.len, walk.options) {
        Some(next) => {
            walk.at = next;
            0
        }
        None => 1,
    }
}

/// A function of its own that the verifier checks once and alone. As a plain loop the walk costs it 423,000
/// instructions, by `bpf_loop` (Linux 5.17) some hundreds.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tcp_options(buffer: *const Bytes, len: u32, out: *mut Options) -> i32 {
    // Raw pointers, because the compiler drops null checks of references and the verifier asks for them.
    if buffer.is_null() || out.is_null() {
        return -1;
    }
    let mut options = Options::NONE;
    // SAFETY: not null, and sized by the verifier from the types.
    let mut walk = Walk { buffer: unsafe { &(*buffer).0 }, options: &mut options, at: 0, len };
    // SAFETY: `step` fits the pointer it is given.
    unsafe {
        bpf_loop(MAX_STEPS, step as *mut c_void, (&raw mut walk).cast(), 0);
        *out = options;
    }
    0
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Bytes(Buffer);

/// The options of the TCP header whose options start at `at`.
#[inline(always)]
pub(crate) fn read<P: Packet>(packet: &P, at: u32, len: u32) -> Option<Options> {
    let mut options = Options::NONE;
    (read_into(packet, at, len, &mut options) == 0).then_some(options)
}

#[inline(never)]
fn read_into<P: Packet>(packet: &P, at: u32, len: u32, options: &mut Options) -> i32 {
    if len > 40 {
        return -1;
    }
    // Nearly all segments need no walk.
    let is_usual = match len {
        12 => packet.get(at as usize).is_some_and(|words| options::usual_of_data(words, options)),
        20 => packet.get(at as usize).is_some_and(|words| options::usual_of_syn(words, options)),
        _ => false,
    };
    if is_usual || len == 0 {
        return 0;
    }
    let mut bytes = Bytes([0; 64]);
    if packet.load(at, &mut bytes.0, len).is_none() {
        return -1;
    }
    tcp_options(&bytes, len, options)
}
