//! System calls that no function needs, and that have been ways out of confinement before: refused with EPERM. A list of
//! what is refused, not of what is allowed: functions are programs of all kinds, and a call that is missing from a list of
//! allowed ones shows at night.

use std::{collections::BTreeMap, io};

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

const REFUSED: &[libc::c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    // Names and mounts.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    // Keys, clocks, devices, accounting.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_fanotify_init,
];

/// `clone` with one of these makes a namespace, in which a process has all capabilities again.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Kinds of sockets for programs of all kinds; the others have been the kernel's weak places.
const SOCKETS: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Typing into the terminal that the agent was started from.
const TERMINAL: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The same calls by the numbers of x32, which go the same way into the kernel.
const X32: libc::c_long = 0x4000_0000;

pub(crate) fn confine() -> io::Result<()> {
    let filter = filters().map_err(io::Error::other)?;
    filter.iter().try_for_each(|filter| apply_filter(filter)).map_err(io::Error::other)
}

/// Two filters, since one has one answer: without `clone3` libraries use `clone`, whose flags can be seen, if they are told
/// that the kernel does not have it.
fn filters() -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in REFUSED {
        refused.insert(*call, Vec::new());
        refused.insert(*call | X32, Vec::new());
    }
    let mut when = |call, rules: Vec<Vec<Condition>>| -> Result<(), seccompiler::BackendError> {
        let rules: Vec<_> = rules.into_iter().map(SeccompRule::new).collect::<Result<_, _>>()?;
        refused.insert(call, rules.clone());
        refused.insert(call | X32, rules);
        Ok(())
    };
    let namespaces = NAMESPACES.map(|flag| {
        let flag = flag as u64;
        Condition::new(0, Len::Qword, Is::MaskedEq(flag), flag).map(|condition| vec![condition])
    });
    when(libc::SYS_clone, namespaces.into_iter().collect::<Result<_, _>>()?)?;
    let sockets = SOCKETS.map(|kind| Condition::new(0, Len::Dword, Is::Ne, kind as u64));
    when(libc::SYS_socket, vec![sockets.into_iter().collect::<Result<_, _>>()?])?;
    let terminal = TERMINAL.map(|request| Condition::new(1, Len::Dword, Is::Eq, request).map(|is| vec![is]));
    when(libc::SYS_ioctl, terminal.into_iter().collect::<Result<_, _>>()?)?;

    let unknown = [(libc::SYS_clone3, Vec::new()), (libc::SYS_clone3 | X32, Vec::new())].into();
    Ok([filter(refused, libc::EPERM)?, filter(unknown, libc::ENOSYS)?])
}

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, error: libc::c_int) -> Result<BpfProgram, seccompiler::BackendError> {
    let refuse = SeccompAction::Errno(error as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64)?.try_into()
}
