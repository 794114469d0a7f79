//! Control groups of version 2, one for each place in which a call can run: limits for all its processes together, and their
//! end, also of those that left their session. Made by the agent below a group of its own, and used again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What is limited, where the machine lets the agent.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
const PERIOD_US: u64 = 100_000;

/// The agent's folder of groups.
#[derive(Debug)]
pub struct Groups {
    root: PathBuf,
    controllers: Vec<&'static str>,
}

impl Groups {
    /// Takes the folder `name` into use, and ends what a former agent left in it.
    pub fn prepare(name: &str) -> io::Result<Self> {
        let own = own_group(&fs::read_to_string("/proc/self/mountinfo")?, &fs::read_to_string("/proc/self/cgroup")?);
        let own = own.ok_or_else(|| io::Error::other("no control groups of version 2 are mounted"))?;
        Self::below(&base(&own), name)
    }

    fn below(base: &Path, name: &str) -> io::Result<Self> {
        let root = base.join(name);
        make(&root)?;
        for entry in fs::read_dir(&root)?.flatten().filter(|entry| entry.path().is_dir()) {
            let left = Group { path: entry.path() };
            left.kill()?;
            // One whose processes are still ending is found empty when it is used again.
            let _ = fs::remove_dir(entry.path());
        }
        if !root.join("cgroup.kill").exists() {
            return Err(io::Error::other("the kernel cannot end a whole group (Linux 5.14 can)"));
        }
        let controllers = CONTROLLERS.into_iter().filter(|name| enable(base, name) && enable(&root, name)).collect();
        Ok(Self { root, controllers })
    }

    /// What cannot be limited for a call as a whole.
    pub fn lacking(&self) -> Vec<&'static str> {
        CONTROLLERS.into_iter().filter(|name| !self.has(name)).collect()
    }

    pub fn has(&self, controller: &str) -> bool {
        self.controllers.contains(&controller)
    }

    /// The group of a place, made if need be.
    pub fn group(&self, place: usize) -> io::Result<Group> {
        let path = self.root.join(place.to_string());
        make(&path)?;
        Ok(Group { path })
    }
}

impl Groups {
    /// Leaves no folders, if nothing runs in them.
    pub fn remove(&self) {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(&self.root);
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The most that the processes of a call may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes: u64,
    pub processes: u64,
    /// Thousandths of a processor.
    pub millicpus: Option<u64>,
}

/// The group of one call at a time.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As far as `groups` can.
    pub fn limit(&self, groups: &Groups, limits: &Limits) -> io::Result<()> {
        let set = |controller, file: &str, value: String| {
            if groups.has(controller) { fs::write(self.path.join(file), value) } else { Ok(()) }
        };
        set("memory", "memory.max", limits.memory_bytes.to_string())?;
        // One process killed for want of memory leaves half a function: all go.
        set("memory", "memory.oom.group", "1".to_owned())?;
        set("pids", "pids.max", limits.processes.to_string())?;
        let quota = limits.millicpus.map_or("max".to_owned(), |part| (part * PERIOD_US / 1000).to_string());
        set("cpu", "cpu.max", format!("{quota} {PERIOD_US}"))
    }

    /// Ends every process in it; they are gone when [`Self::is_empty`] says so.
    pub fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    pub fn is_empty(&self) -> bool {
        let events = fs::read_to_string(self.path.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 0")
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A group with processes of its own cannot have limits for groups below it, unless it is the root of all.
fn enable(group: &Path, controller: &str) -> bool {
    let has = |file| {
        let text = fs::read_to_string(group.join(file)).unwrap_or_default();
        text.split_whitespace().any(|name| name == controller)
    };
    has("cgroup.subtree_control")
        || has("cgroup.controllers")
            && fs::write(group.join("cgroup.subtree_control"), format!("+{controller}")).is_ok()
}

/// Where systemd has put the agent into a group below the one it was given (`DelegateSubgroup`), that one is free of processes
/// and can limit others below it.
fn base(own: &Path) -> PathBuf {
    let parent = own.parent().filter(|_| own.ends_with("agent"));
    let parent =
        parent.filter(|parent| fs::read_to_string(parent.join("cgroup.procs")).is_ok_and(|text| text.is_empty()));
    let is_ours = |folder: &&Path| nix::unistd::access(*folder, nix::unistd::AccessFlags::W_OK).is_ok();
    parent.filter(is_ours).unwrap_or(own).to_owned()
}

/// The folder of this process's group, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn own_group(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut fields = place.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        // What a container sees of the hierarchy may begin further down.
        let below = Path::new(path).strip_prefix(root).ok()?;
        kind.starts_with("cgroup2 ").then(|| Path::new(mount).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "26 21 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        27 26 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        28 26 0:24 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_own_group_is_found_whatever_else_is_mounted() {
        let group = |mounts, groups| own_group(mounts, groups).map(|path| path.display().to_string());
        let found = group(MOUNTS, "4:memory:/x\n0::/system.slice/a.service\n");
        assert_eq!(found.as_deref(), Some("/sys/fs/cgroup/unified/system.slice/a.service"));
        let inner = MOUNTS.replace("0:24 / ", "0:24 /docker/c ");
        assert_eq!(group(&inner, "0::/docker/c/d\n").as_deref(), Some("/sys/fs/cgroup/unified/d"));
        assert_eq!(group(&inner, "0::/elsewhere\n"), None);
        assert_eq!(group(MOUNTS, "4:memory:/x\n"), None);
        assert_eq!(group("", "0::/\n"), None);
    }
}
