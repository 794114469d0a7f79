//! HAProxy reads what strangers send: it gets a user of its own where the agent is root, and no right but to low ports.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use dfaas_confine::order::{Order, variable};
use nix::unistd::{Gid, User, chown, geteuid};

use super::{Paths, ProxyError};

/// The first that the machine has: that of the package, or the one that owns nothing.
const USERS: [&str; 2] = ["haproxy", "nobody"];

/// What HAProxy becomes; its folder is made ready for that user.
pub(super) fn order(paths: &Paths, arguments: &[OsString]) -> Result<Order, ProxyError> {
    let user = if geteuid().is_root() { user() } else { None };
    if let Some((_, group)) = user {
        open_folder(paths, group)?;
    } else if geteuid().is_root() {
        tracing::warn!("haproxy runs as root: there is no user {}", USERS.join(" or "));
    }
    let environment =
        ["PATH", "TZ", "LANG"].into_iter().filter_map(|name| Some(variable(name, &std::env::var_os(name)?)));
    Ok(Order {
        server: true,
        user,
        // Needs a right that an agent that is not root does not have; no new privileges does the same.
        bounding: geteuid().is_root(),
        work_dir: "/".into(),
        program: paths.program.clone(),
        arguments: arguments.to_vec(),
        environment: environment.collect(),
        ..Order::default()
    })
}

fn user() -> Option<(u32, u32)> {
    let user = USERS.into_iter().find_map(|name| User::from_name(name).ok()?)?;
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

/// HAProxy makes its sockets in the folder, but replaces nothing of what the agent keeps there: so says the sticky bit. What a
/// former process has left under another user goes away.
fn open_folder(paths: &Paths, group: u32) -> Result<(), ProxyError> {
    let wrong = ProxyError::io("prepare", &paths.dir);
    let ready = chown(&paths.dir, None, Some(Gid::from_raw(group))).map_err(std::io::Error::from);
    ready.and_then(|()| fs::set_permissions(&paths.dir, Permissions::from_mode(0o1770))).map_err(wrong)?;
    for file in [&paths.master_socket, &paths.runtime_socket, &paths.tables_socket, &paths.pid_file] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ProxyError::io("remove", file)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
