//! Checked access to packets. References borrow the context, so whatever moves the packet (`&mut self`) ends them: a
//! stale packet pointer does not compile.

mod skb;
mod xdp;

use aya_ebpf::cty::c_void;
use dfaas_common::packet::{Plain, Wire};
pub(crate) use skb::Skb;
pub(crate) use xdp::Xdp;

pub(crate) trait Packet {
    /// Addresses of the first byte and of the one behind the last.
    fn bounds(&self) -> (usize, usize);

    #[inline(always)]
    fn get<T: Wire>(&self, at: usize) -> Option<&T> {
        let (data, end) = self.bounds();
        // SAFETY: inside the packet; T is plain bytes of alignment 1.
        (data + at + size_of::<T>() <= end).then(|| unsafe { &*((data + at) as *const T) })
    }

    #[inline(always)]
    fn get_mut<T: Wire>(&mut self, at: usize) -> Option<&mut T> {
        let (data, end) = self.bounds();
        // SAFETY: as above, and the context is borrowed for as long.
        (data + at + size_of::<T>() <= end).then(|| unsafe { &mut *((data + at) as *mut T) })
    }

    /// Copies `len` (1 to the buffer's size) bytes from `at`.
    fn load<T: Plain>(&self, at: u32, buffer: &mut T, len: u32) -> Option<()>;

    /// Socket lookups want the raw context.
    fn raw(&self) -> *mut c_void;
}

/// What XDP tells TC about a packet, in front of it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Hint {
    pub(crate) magic: u32,
    pub(crate) kind: u16,
    pub(crate) peer: u16,
}

impl Hint {
    const MAGIC: u32 = 0x4446_6161;
    /// First packet of a client's connection that is placed here.
    pub(crate) const LOCAL_FIRST: u16 = 1;
    /// First packet of a connection that a peer handed off.
    pub(crate) const PEER_FIRST: u16 = 2;
    /// Later packet of such a connection.
    pub(crate) const PEER_LATER: u16 = 3;
    /// First packet of a client's connection that HAProxy is to steer.
    pub(crate) const PROXY_FIRST: u16 = 4;
    /// Later packet of a client's connection of which nothing has been acknowledged yet.
    pub(crate) const LOCAL_EARLY: u16 = 5;

    #[inline(always)]
    pub(crate) fn new(kind: u16, peer: u32) -> Self {
        Self { magic: Self::MAGIC, kind, peer: peer as u16 }
    }
}

/// `Some` if a helper succeeded.
#[inline(always)]
pub(crate) fn ok(result: i64) -> Option<()> {
    (result == 0).then_some(())
}
