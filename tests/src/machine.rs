//! What a network with nodes needs of the machine beneath, brought where it can be, else named.
//!
//! Modules (veth, bridge) are not loaded here: the kernel does that by itself when the first link of a kind is made.

use std::{fs, io, path::Path, sync::OnceLock};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::geteuid,
};

const BPF_FS: &str = "/sys/fs/bpf";
/// Where namespaces, leases and sockets of nodes are noted.
const RUN: &str = "/run";
/// Where an ordinary user's PATH does not look, and `ip`, `ethtool` and `haproxy` are.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Once for this process; later calls tell the same.
pub fn prepare() -> Result<()> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    let prepared = PREPARED.get_or_init(|| try_prepare().map_err(|error| format!("{error:#}")));
    prepared.clone().map_err(anyhow::Error::msg)
}

fn try_prepare() -> Result<()> {
    ensure_root()?;
    fs::create_dir_all(RUN).with_context(|| format!("cannot make {RUN}"))?;
    if is_bpf_fs(Path::new(BPF_FS)) {
        return Ok(());
    }
    ensure!(
        Path::new("/sys/fs").is_dir(),
        "no /sys/fs: sysfs is not mounted (`mount -t sysfs sysfs /sys` as root mounts it)"
    );
    ensure!(Path::new(BPF_FS).is_dir(), "no {BPF_FS}: this kernel was built without BPF (CONFIG_BPF_SYSCALL)");
    // For good, and not hidden in a mount namespace: so does systemd where it boots a machine, and `bpftool` in another
    // terminal is to find what nodes pin.
    mount(
        Some("bpf"),
        BPF_FS,
        Some("bpf"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Some("mode=0700"),
    )
    .with_context(|| {
        format!("cannot mount {BPF_FS}, where nodes pin their maps: it needs CAP_SYS_ADMIN, which containers lack")
    })
}

/// Namespaces, mounts and kernel programs are root's.
pub fn ensure_root() -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "not root: network namespaces and kernel programs need it (`cargo xtask run` asks sudo by itself)"
    );
    Ok(())
}

fn is_bpf_fs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC)
}

/// `path`, and behind it the system folders that it lacks; `None` if it lacks none.
pub fn completed_path(path: &str) -> Option<String> {
    let mut folders: Vec<&str> = path.split(':').filter(|folder| !folder.is_empty()).collect();
    let before = folders.len();
    folders.extend(SYSTEM_FOLDERS.into_iter().filter(|system| !path.split(':').any(|folder| folder == *system)));
    (folders.len() > before).then(|| folders.join(":"))
}

/// Gives what root wrote into a user's folder to that user, where sudo started us.
pub fn give_to_sudo_user(folder: &Path) -> io::Result<()> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (number("SUDO_UID"), number("SUDO_GID")) else { return Ok(()) };
    if user == 0 || !folder.exists() { Ok(()) } else { give(folder, user, group) }
}

fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(group))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gets_the_system_folders_it_lacks_and_no_other() {
        assert_eq!(completed_path("/usr/bin:/bin").unwrap(), "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        assert_eq!(completed_path("").unwrap(), SYSTEM_FOLDERS.join(":"));
        assert_eq!(completed_path("/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"), None);
    }

    #[test]
    fn another_file_system_is_not_taken_for_the_one_of_bpf() {
        assert!(!is_bpf_fs(Path::new("/proc")) && !is_bpf_fs(Path::new("/no/such/folder")));
    }
}
