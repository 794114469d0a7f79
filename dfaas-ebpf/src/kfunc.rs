//! The kernel function that makes a socket from a data packet, `bpf_sk_assign_tcp_reqsk` (Linux 6.9).
//!
//! aya 0.14 has no kfunc support, so the call is written as a raw instruction whose immediate is a magic number; the
//! loader replaces it by the function's BTF id in the running kernel (`dfaas-agent`, `kernel/kfunc.rs`).

use core::ffi::c_void;

/// `struct bpf_tcp_req_attrs`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct TcpRequestAttributes {
    pub(crate) rcv_tsval: u32,
    pub(crate) rcv_tsecr: u32,
    pub(crate) mss: u16,
    pub(crate) rcv_wscale: u8,
    pub(crate) snd_wscale: u8,
    pub(crate) ecn_ok: u8,
    pub(crate) wscale_ok: u8,
    pub(crate) sack_ok: u8,
    pub(crate) tstamp_ok: u8,
    /// `usec_ts_ok` (first byte) and three reserved ones, as one aligned store.
    pub(crate) usec_ts_ok: u32,
}

const _: () = assert!(size_of::<TcpRequestAttributes>() == 20);

/// Returns 0, or an error: EINVAL if the attributes and the host's sysctls disagree.
///
/// # Safety
/// `skb` is the program's context, `listener` a TCP socket in state LISTEN with a reference held.
#[inline(always)]
pub(crate) unsafe fn bpf_sk_assign_tcp_reqsk(
    skb: *mut c_void,
    listener: *mut c_void,
    attributes: *mut TcpRequestAttributes,
) -> i32 {
    let result: u64;
    // SAFETY: a call with four arguments; r1 to r5 are lost, r0 is the result.
    unsafe {
        core::arch::asm!(
            // code 0x85 (call), source 2 (BPF_PSEUDO_KFUNC_CALL), immediate 0x4b460001 ("KF", 1)
            ".8byte 0x4b46000100002085",
            lateout("r0") result,
            inout("r1") skb => _,
            inout("r2") listener => _,
            inout("r3") attributes => _,
            inout("r4") size_of::<TcpRequestAttributes>() as u64 => _,
            lateout("r5") _,
        );
    }
    result as i32
}
