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

/// `Some` if a helper succeeded.
#[inline(always)]
pub(crate) fn ok(result: i64) -> Option<()> {
    (result == 0).then_some(())
}
