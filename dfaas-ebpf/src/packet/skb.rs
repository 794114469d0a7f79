//! A packet in TC.

use aya_ebpf::{bindings::__sk_buff, cty::c_void, helpers as h};
use dfaas_common::{
    address::AddressV4,
    hint::Hint,
    packet::{Eth, Plain},
    settings::HintWay,
};

use super::{Packet, ok};
use crate::{maps, setting};

/// `BPF_F_PSEUDO_HDR` with a field of four bytes.
const PSEUDO_HEADER_4: u64 = 0x10 | 4;
/// Offsets of the checksums in an untagged frame with an IPv4 header without options.
const IP_CHECKSUM_AT: u32 = 14 + 10;
const TCP_CHECKSUM_AT: u32 = 34 + 16;

#[repr(transparent)]
pub(crate) struct Skb(*mut __sk_buff);

impl Packet for Skb {
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the context is valid for the whole run.
        unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) }
    }
    #[inline(always)]
    fn load<T: Plain>(&self, at: u32, buffer: &mut T, len: u32) -> Option<()> {
        // SAFETY: the verifier checks `len` against the buffer.
        ok(unsafe { h::bpf_skb_load_bytes(self.0.cast(), at, core::ptr::from_mut(buffer).cast(), len) })
    }
    #[inline(always)]
    fn raw(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl Skb {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut __sk_buff) -> Self {
        Self(ctx)
    }

    /// What XDP said about this packet, and whether it stands in the source address.
    #[inline(always)]
    pub(crate) fn hint(&self) -> Option<(Hint, bool)> {
        match self.hint_in_front() {
            Some(hint) => Some((hint, false)),
            None if setting!(hint_way) == HintWay::Metadata as u32 => None,
            None => self.hint_in_source().map(|hint| (hint, true)),
        }
    }

    #[inline(always)]
    fn hint_in_front(&self) -> Option<Hint> {
        // SAFETY: the context is valid.
        let (meta, data) = unsafe { ((*self.0).data_meta as usize, (*self.0).data as usize) };
        if meta + Hint::LEN > data {
            return None;
        }
        // SAFETY: inside the metadata area, which is aligned to 4 bytes.
        let (low, high) = unsafe { (*(meta as *const u32), *((meta + 4) as *const u32)) };
        Hint::from_word(u64::from(high) << 32 | u64::from(low))
    }

    #[inline(always)]
    fn hint_in_source(&self) -> Option<Hint> {
        let source = self.get::<Eth>(0)?.source;
        if !Hint::may_be_source(source) {
            return None;
        }
        Hint::from_source(source, maps::control()?.hint_secret())
    }

    #[inline(always)]
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.0).mark }
    }

    #[inline(always)]
    pub(crate) fn set_mark(&mut self, mark: u32) {
        // SAFETY: the context is valid and the field writable.
        unsafe { (*self.0).mark = mark };
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { (*self.0).ifindex }
    }

    /// Makes the first `len` bytes readable and writable in place.
    #[inline(always)]
    pub(crate) fn pull(&mut self, len: u32) -> Option<()> {
        // SAFETY: the context is valid; no packet reference outlives `&mut self`.
        ok(unsafe { h::bpf_skb_pull_data(self.0, len) })
    }

    #[inline(always)]
    pub(crate) fn store<T: Plain>(&mut self, at: u32, value: &T) -> Option<()> {
        // SAFETY: the value is as long as said.
        ok(unsafe { h::bpf_skb_store_bytes(self.0, at, core::ptr::from_ref(value).cast(), size_of::<T>() as u32, 0) })
    }

    /// Rewrites an IPv4 address (`at`: its offset) with both checksums, incrementally (RFC 1624).
    #[inline(always)]
    pub(crate) fn replace_address(&mut self, at: u32, old: AddressV4, new: AddressV4) -> Option<()> {
        let (old, new) = (old.raw(), new.raw());
        // SAFETY: the context is valid and the offsets are of a frame that was parsed.
        unsafe {
            ok(h::bpf_l4_csum_replace(self.0, TCP_CHECKSUM_AT, old.into(), new.into(), PSEUDO_HEADER_4))?;
            ok(h::bpf_l3_csum_replace(self.0, IP_CHECKSUM_AT, old.into(), new.into(), 4))?;
        }
        self.store(at, &new)
    }

    /// Sends a copy to the stack as if it had just come in.
    #[inline(always)]
    pub(crate) fn reinject(&mut self) {
        // BPF_F_INGRESS. A failure is a lost packet: the client repeats it.
        // SAFETY: the context is valid.
        unsafe { h::bpf_clone_redirect(self.0, self.ifindex(), 1) };
    }

    /// Makes room between link and network header.
    #[inline(always)]
    pub(crate) fn grow(&mut self, by: i32, flags: u64) -> Option<()> {
        // BPF_ADJ_ROOM_MAC is 1.
        // SAFETY: the context is valid; no packet reference outlives `&mut self`.
        ok(unsafe { h::bpf_skb_adjust_room(self.0, by, 1, flags) })
    }
}
