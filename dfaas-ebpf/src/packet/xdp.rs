//! A frame in XDP.

use aya_ebpf::{bindings::xdp_md, cty::c_void, helpers as h};
use dfaas_common::{
    hint::Hint,
    packet::{Eth, Mac, Plain},
    settings::{Control, HintWay},
};

use super::{Packet, ok};
use crate::{maps, setting};

#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Xdp(*mut xdp_md);

impl Packet for Xdp {
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the context is valid for the whole run.
        unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) }
    }
    #[inline(always)]
    fn load<T: Plain>(&self, at: u32, buffer: &mut T, len: u32) -> Option<()> {
        // SAFETY: the verifier checks `len` against the buffer.
        ok(unsafe { h::bpf_xdp_load_bytes(self.0, at, core::ptr::from_mut(buffer).cast(), len) })
    }
    #[inline(always)]
    fn raw(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl Xdp {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut xdp_md) -> Self {
        Self(ctx)
    }

    /// For functions of their own, which take nothing else of a packet.
    #[inline(always)]
    pub(crate) fn context(self) -> *mut xdp_md {
        self.0
    }

    /// Bytes from the Ethernet header on.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { h::bpf_xdp_get_buff_len(self.0) as u32 }
    }

    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).ingress_ifindex }
    }

    #[inline(always)]
    pub(crate) fn adjust_head(&mut self, by: i32) -> Option<()> {
        // SAFETY: as above; no packet reference outlives `&mut self`.
        ok(unsafe { h::bpf_xdp_adjust_head(self.0, by) })
    }

    #[inline(always)]
    pub(crate) fn store(&mut self, at: u32, bytes: *const u8, len: u32) -> Option<()> {
        // SAFETY: the verifier checks `len` against what `bytes` points to.
        ok(unsafe { h::bpf_xdp_store_bytes(self.0, at, bytes.cast_mut().cast(), len) })
    }

    /// Makes the frame `want` bytes long, its first 34 bytes (Ethernet, IPv4) still in front: shrinks at the tail, grows
    /// at the head, because veth hands out buffers without tailroom.
    #[inline(always)]
    pub(crate) fn resize(&mut self, want: i32) -> Option<()> {
        let have = self.len() as i32;
        if want == have {
            return Some(());
        }
        if want < have {
            // SAFETY: as for `adjust_head`.
            return ok(unsafe { h::bpf_xdp_adjust_tail(self.0, want - have) });
        }
        let mut head = [0u8; 34];
        self.load(0, &mut head, 34)?;
        self.adjust_head(have - want)?;
        self.store(0, head.as_ptr(), 34)
    }

    /// Tells TC something about this packet; false if there is no way to.
    #[inline(always)]
    pub(crate) fn set_hint(&mut self, hint: Hint) -> bool {
        put_hint(self.0, hint.word()) != 0
    }

    /// As metadata. Many drivers have no room for it.
    #[inline(always)]
    fn put_in_front(&mut self, word: u64) -> Option<()> {
        // SAFETY: as for `adjust_head`.
        ok(unsafe { h::bpf_xdp_adjust_meta(self.0, -(Hint::LEN as i32)) })?;
        // SAFETY: the context is valid.
        let (meta, data) = unsafe { ((*self.0).data_meta as usize, (*self.0).data as usize) };
        if meta + Hint::LEN > data {
            return None;
        }
        // SAFETY: inside the metadata area, which is aligned to 4 bytes.
        unsafe {
            *(meta as *mut u32) = word as u32;
            *((meta + 4) as *mut u32) = (word >> 32) as u32;
        }
        Some(())
    }

    /// Does a frame from the network look like one with a hint?
    #[inline(always)]
    pub(crate) fn is_forged(&self) -> bool {
        self.get::<Eth>(0).is_some_and(|eth| Hint::may_be_source(eth.source)) && has_hint(self.0) != 0
    }

    /// Is the frame to a link-layer address of this node? An answer to others, which a flooding switch shows us, would keep
    /// wrong entries in the neighbour tables of clients alive.
    #[inline(always)]
    pub(crate) fn is_to_us(&self) -> bool {
        is_to_our_link(self.0) != 0
    }
}

/// A function of its own that the verifier checks once and alone, as those below.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn has_hint(ctx: *mut xdp_md) -> u32 {
    let (Some(eth), Some(control)) = (Xdp(ctx).get::<Eth>(0).copied(), maps::control()) else { return 0 };
    Hint::from_source(eth.source, control.hint_secret()).is_some().into()
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_to_our_link(ctx: *mut xdp_md) -> u32 {
    let (Some(eth), Some(control)) = (Xdp(ctx).get::<Eth>(0).copied(), maps::control()) else { return 0 };
    control.is_ours(Mac::new(eth.destination).word()).into()
}

/// Whatever way is taken, the callers go on as one.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn put_hint(ctx: *mut xdp_md, word: u64) -> u32 {
    let mut x = Xdp(ctx);
    let way = setting!(hint_way);
    if way != HintWay::Source as u32 && x.put_in_front(word).is_some() {
        return 1;
    }
    if way == HintWay::Metadata as u32 {
        return 0;
    }
    // Nobody needs the source any more; TC puts it back.
    let Some(secret) = maps::control().map(Control::hint_secret) else { return 0 };
    let (Some(hint), Some(eth)) = (Hint::from_word(word), x.get_mut::<Eth>(0)) else { return 0 };
    eth.source = hint.source(secret);
    1
}
