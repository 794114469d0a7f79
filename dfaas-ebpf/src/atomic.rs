//! `core` has no read-modify-write atomics for BPF; these are the instructions themselves (cpu v3, Linux 5.12).

use core::arch::asm;

/// Adds and returns what was there.
///
/// # Safety
/// `p` points to an aligned u64 in a map value.
#[inline(always)]
pub(crate) unsafe fn fetch_add(p: *mut u64, n: u64) -> u64 {
    let mut value = n;
    // SAFETY: the caller's promise is the instruction's condition.
    unsafe { asm!("{v} = atomic_fetch_add((u64 *)({p} + 0), {v})", v = inout(reg) value, p = in(reg) p) };
    value
}

/// Stores `new` if `old` is there; returns what was there.
///
/// # Safety
/// `p` points to an aligned u64 in a map value.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(p: *mut u64, old: u64, new: u64) -> u64 {
    let mut value = old;
    // SAFETY: as above.
    unsafe { asm!("r0 = cmpxchg_64({p} + 0, r0, {n})", inout("r0") value, p = in(reg) p, n = in(reg) new) };
    value
}
