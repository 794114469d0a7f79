//! The process between the agent and the function: reads its order, obeys it, and becomes the function. A step that fails
//! ends it: no function runs with more than the order leaves it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            process::{CommandExt, parent_id},
        },
    },
    process::{Command, ExitCode},
};

use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::Signal,
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};

use crate::{
    calls, files,
    order::{MAX_BYTES, Order},
};

/// As a shell says that it could not start a program.
const NOT_STARTED: u8 = 126;
const OPEN_FILES: u64 = 1024;
/// The kernel ends functions before anything else of the node when memory is short.
const OOM_SCORE: &str = "500";

/// Something that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Group,
    Limits,
    Bounding,
    User,
    Capabilities,
    Privileges,
    Parent,
    Files,
    Calls,
}

impl Step {
    /// In an order in which each still has the rights it needs.
    pub const ALL: [Self; 9] = [
        Self::Group,
        Self::Limits,
        Self::Bounding,
        Self::User,
        Self::Capabilities,
        Self::Privileges,
        Self::Parent,
        Self::Files,
        Self::Calls,
    ];

    /// What functions are without if it fails; a probe begins its lines with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "a control group for each call",
            Self::Limits => "limits of resources",
            Self::Bounding => "a bound on capabilities that files give",
            Self::User => "a user of their own",
            Self::Capabilities => "freedom from the agent's capabilities",
            Self::Privileges => "no new privileges",
            Self::Parent => "an end with the agent's",
            Self::Files => "few files and no signals to others (Landlock)",
            Self::Calls => "few system calls (seccomp)",
        }
    }

    fn take(self, order: &Order) -> io::Result<()> {
        match self {
            Self::Group => join_group(order),
            Self::Limits | Self::Parent if order.server => Ok(()),
            Self::Limits => limit(order),
            Self::Bounding => clear_bounding(order),
            Self::User => become_user(order),
            Self::Capabilities => clear_capabilities(order),
            Self::Privileges => Ok(nix::sys::prctl::set_no_new_privs()?),
            Self::Parent => end_with_parent(order),
            Self::Files => files::confine(order),
            Self::Calls if order.calls => calls::confine(),
            Self::Calls => Ok(()),
        }
    }
}

/// Does not come back if all goes well.
pub fn main() -> ExitCode {
    let order = match read() {
        Ok(order) => order,
        Err(error) => return complain(&format!("no order: {error}")),
    };
    for step in Step::ALL {
        let Err(error) = step.take(&order) else { continue };
        if !order.probe {
            return complain(&format!("not started without {}: {error}", step.name()));
        }
        let _ = writeln!(io::stdout(), "{}: {error}", step.name());
    }
    if order.probe {
        return ExitCode::SUCCESS;
    }
    if !order.server {
        umask(Mode::from_bits_truncate(0o077));
    }
    let mut command = Command::new(&order.program);
    command.args(&order.arguments).current_dir(&order.work_dir).env_clear();
    for variable in &order.environment {
        let mut parts = variable.as_bytes().splitn(2, |byte| *byte == b'=').map(OsStr::from_bytes);
        command.env(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    }
    let error = command.exec();
    complain(&format!("{} did not start: {error}", order.program.display()))
}

fn complain(what: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{what}");
    ExitCode::from(NOT_STARTED)
}

/// Not a byte more than the order: the rest is the function's input.
fn read() -> io::Result<Order> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_BYTES {
        return Err(io::Error::other(format!("it has {length} bytes, expected at most {MAX_BYTES}")));
    }
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes)?;
    Order::decode(&bytes).ok_or_else(|| io::Error::other("it is not understood"))
}

fn join_group(order: &Order) -> io::Result<()> {
    order.group.as_ref().map_or(Ok(()), |group| fs::write(group.join("cgroup.procs"), "0"))
}

fn limit(order: &Order) -> io::Result<()> {
    let set = |resource, limit: Option<u64>| limit.map_or(Ok(()), |limit| setrlimit(resource, limit, limit));
    set(Resource::RLIMIT_CORE, Some(0))?;
    set(Resource::RLIMIT_NOFILE, Some(OPEN_FILES))?;
    set(Resource::RLIMIT_MEMLOCK, Some(64 << 10))?;
    set(Resource::RLIMIT_DATA, order.data_bytes)?;
    set(Resource::RLIMIT_NPROC, order.processes)?;
    // A wish, not a wall.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}

fn clear_bounding(order: &Order) -> io::Result<()> {
    if !order.bounding {
        return Ok(());
    }
    // The kernel may know capabilities that this program does not: until it says that there are no more.
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept(order).contains(capability) {
            continue;
        }
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

fn become_user(order: &Order) -> io::Result<()> {
    let Some((user, group)) = order.user else { return Ok(()) };
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    nix::sys::prctl::set_keepcaps(order.server)?;
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    Ok(())
}

/// The ambient ones would survive the exec, and so would those of root that are in the bounding set.
fn clear_capabilities(order: &Order) -> io::Result<()> {
    clear_ambient_capability_set()?;
    let kept = kept(order) & capabilities(None)?.permitted;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: kept })?;
    if !kept.is_empty() {
        configure_capability_in_ambient_set(kept, true)?;
    }
    Ok(())
}

fn kept(order: &Order) -> CapabilitySet {
    if order.server { CapabilitySet::NET_BIND_SERVICE } else { CapabilitySet::empty() }
}

/// After the change of user, which would undo it. The parent may have ended before.
fn end_with_parent(order: &Order) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if parent_id() == order.parent { Ok(()) } else { Err(io::Error::other("the agent has ended")) }
}
