//! A frame in XDP.

use aya_ebpf::{bindings::xdp_md, cty::c_void, helpers as h};
use dfaas_common::packet::Plain;

use super::{Hint, Packet, ok};

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

    /// Puts a hint for TC in front of the frame.
    #[inline(always)]
    pub(crate) fn set_hint(&mut self, hint: Hint) -> Option<()> {
        // SAFETY: as for `adjust_head`.
        ok(unsafe { h::bpf_xdp_adjust_meta(self.0, -(size_of::<Hint>() as i32)) })?;
        // SAFETY: the context is valid.
        let (meta, data) = unsafe { ((*self.0).data_meta as usize, (*self.0).data as usize) };
        if meta + size_of::<Hint>() > data {
            return None;
        }
        // SAFETY: inside the metadata area, which is aligned to 4 bytes.
        unsafe { *(meta as *mut Hint) = hint };
        Some(())
    }
}
