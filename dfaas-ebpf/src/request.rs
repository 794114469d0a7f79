//! The function that a packet calls.

use dfaas_common::http::{MIN_REQUEST_LEN, NAME_LEN, Name, cut, prefix_len};

use crate::packet::{Packet, Xdp};

/// Reads the function's name from the `len` bytes of request at `at`. False if it cannot be told.
#[inline(never)]
pub(crate) fn read_name(x: &Xdp, at: u32, len: u32, name: &mut Name) -> u32 {
    try_read_name(x, at, len, name).is_some().into()
}

#[inline(always)]
fn try_read_name(x: &Xdp, at: u32, len: u32, name: &mut Name) -> Option<()> {
    // 146: the inner segment's payload behind the longest headers.
    if len <= MIN_REQUEST_LEN || at > 146 {
        return None;
    }
    let mut head = [0u64; 2];
    x.load(at, &mut head, MIN_REQUEST_LEN)?;
    let skip = prefix_len(head[0], head[1]);
    if skip == 0 {
        return None;
    }
    // Loading from the name on keeps its offset in the buffer constant: variable offsets are parsed wrongly.
    let len = (len - skip).min(NAME_LEN as u32);
    x.load(at + skip, &mut name.0, len)?;
    cut(name).then_some(())
}
