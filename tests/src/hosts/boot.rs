//! From a folder to a running systemd: the mounts that a machine has, in namespaces of their own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::cgroup::Cgroup;

/// Runs as process 1 of the new namespaces, with the variables that [`Boot::command`] sets. `/proc/sys` is read-only but
/// for the network's part, and `/sys` is: they belong to this machine.
const SCRIPT: &str = r#"
set -e
mount --make-rprivate /
M=$HOST_FOLDER/root
mount -t overlay overlay -o "lowerdir=$HOST_BASE,upperdir=$HOST_FOLDER/upper,workdir=$HOST_FOLDER/work" "$M"
hostname "$HOST_NAME"
echo "$HOST_NAME" > "$M/etc/hostname"
mount -t proc proc "$M/proc"
mount --bind "$M/proc/sys" "$M/proc/sys"
mount --bind "$M/proc/sys/net" "$M/proc/sys/net"
mount -o remount,bind,ro "$M/proc/sys"
mount -t sysfs -o ro sysfs "$M/sys"
mount -t cgroup2 cgroup2 "$M/sys/fs/cgroup"
mount -t bpf -o mode=700 bpf "$M/sys/fs/bpf"
mount -t tmpfs -o mode=755 tmpfs "$M/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    name=${device%%:*}
    numbers=${device#*:}
    mknod -m 666 "$M/dev/$name" c "${numbers%:*}" "${numbers#*:}"
done
mkdir "$M/dev/pts" "$M/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$M/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$M/dev/shm"
ln -s pts/ptmx "$M/dev/ptmx"
ln -s /proc/self/fd "$M/dev/fd"
for n in 0 1 2; do ln -s "fd/$n" "$M/dev/$(echo stdin stdout stderr | cut -d' ' -f$((n + 1)))"; done
mount -t tmpfs -o mode=755 tmpfs "$M/run"
while IFS=: read -r folder inside; do
    mkdir -p "$M$inside"
    mount --bind "$folder" "$M$inside"
    mount -o remount,bind,ro "$M$inside"
done < "$HOST_FOLDER/shown"
mkdir -p "$M/.old"
cd "$M"
pivot_root . .old
exec chroot . /bin/sh -c 'umount -l /.old; exec env -i container=dfaas PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    TERM=dumb /lib/systemd/systemd --log-target=journal'
"#;

/// What a host is booted from.
pub(super) struct Boot {
    name: String,
    namespace: String,
    base: PathBuf,
    folder: PathBuf,
    shown: Vec<(PathBuf, String)>,
}

impl Boot {
    pub(super) fn new(name: &str, namespace: &str, base: &Path, folder: &Path) -> Result<Self> {
        for part in ["upper", "work", "root"] {
            let folder = folder.join(part);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        // A service's own user must get through it.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.join("upper"), open)?;
        let (base, folder) = (base.to_owned(), folder.to_owned());
        let boot = Self { name: name.to_owned(), namespace: namespace.to_owned(), base, folder, shown: Vec::new() };
        let mask = boot.upper().join("etc/systemd/system");
        fs::create_dir_all(&mask)?;
        // There are no devices of its own to look after, and no network to wait for but the one that is there.
        for unit in ["systemd-udevd.service", "systemd-udev-trigger.service", "systemd-networkd-wait-online.service"] {
            std::os::unix::fs::symlink("/dev/null", mask.join(unit))?;
        }
        Ok(boot)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What differs from the base.
    pub(super) fn upper(&self) -> PathBuf {
        self.folder.join("upper")
    }

    pub(super) fn show(&mut self, folder: &Path, inside: &str) {
        self.shown.push((folder.to_owned(), inside.to_owned()));
    }

    /// The command whose child becomes systemd.
    pub(super) fn command(&self, cgroup: &Cgroup) -> Result<Command> {
        let paths = [&self.base, &self.folder].map(|path| path.display().to_string());
        ensure!(!paths.iter().any(|path| path.contains([':', ','])), "no overlay can be made of {paths:?}");
        let lines = self.shown.iter().map(|(folder, inside)| format!("{}:{inside}\n", folder.display()));
        fs::write(self.folder.join("shown"), lines.collect::<String>())?;
        // Into the group first: the new namespace has it as its root.
        let enter = format!(
            "echo $$ > {} && exec ip netns exec {} unshare --mount --pid --uts --ipc --cgroup --fork --kill-child=KILL \
             sh -c \"$HOST_SCRIPT\"",
            cgroup.entrance().display(),
            self.namespace
        );
        let console = File::create(self.folder.join("console")).context("cannot make the console's file")?;
        let mut command = Command::new("sh");
        command.args(["-c", &enter]).stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        command.env("HOST_SCRIPT", SCRIPT).env("HOST_NAME", &self.name);
        command.env("HOST_BASE", &self.base).env("HOST_FOLDER", &self.folder);
        command.env("PATH", super::PATH);
        Ok(command)
    }

    /// What was printed before the journal was there.
    pub(super) fn console(&self) -> String {
        fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }
}
