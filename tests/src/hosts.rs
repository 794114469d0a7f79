//! Hosts that boot: a Debian root with systemd as process 1, in namespaces of its own, on an emulated network.
//!
//! * [`root`]: where the root comes from
//! * [`boot`]: what runs between `unshare` and systemd
//!
//! A host's changes to its root are kept in a folder over it: they survive a reboot, and go with the host.

mod boot;
mod cgroup;
mod root;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub use self::root::{debian_root, missing};
use self::{boot::Boot, cgroup::Cgroup};
use crate::{
    netns::Entrance,
    network::{Host as Station, Network},
};

/// For systemd to say that it is up, on a busy machine.
const UP: Duration = Duration::from_mins(2);
/// For it to go down.
const DOWN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Hosts on one switch, and a client.
pub struct Hosts {
    // Before the network: a host that runs holds its namespace.
    booted: Vec<BootedHost>,
    network: Network,
    base: PathBuf,
    directory: tempfile::TempDir,
}

impl Hosts {
    /// An empty network; `prefix` starts the names of all that is made.
    pub fn new(prefix: &str, base: &Path) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "not root: booting hosts needs it");
        let mut network = Network::new(prefix, [10, 78, 0], None)?;
        network.add_host("client", 200)?;
        let directory = tempfile::Builder::new().prefix("dfaas-hosts").tempdir()?;
        Ok(Self { booted: Vec::new(), network, base: base.to_owned(), directory })
    }

    /// Adds a host, with the address `number`, that does not run yet; returns its index.
    pub fn add(&mut self, name: &str, number: u8) -> Result<usize> {
        let station = self.network.add_host(name, number)?;
        let Station { namespace, address } = &self.network.hosts[station];
        let folder = self.directory.path().join(name);
        let boot = Boot::new(name, namespace.name(), &self.base, &folder)?;
        self.booted.push(BootedHost { boot, address: *address, station, cgroup: None, init: None });
        Ok(self.booted.len() - 1)
    }

    pub fn host(&self, i: usize) -> &BootedHost {
        &self.booted[i]
    }

    pub fn host_mut(&mut self, i: usize) -> &mut BootedHost {
        &mut self.booted[i]
    }

    /// Runs a command line in the network namespace of a host, whether it runs or not.
    pub fn in_network(&self, i: usize, line: &str) -> Result<String> {
        self.network.hosts[self.booted[i].station].namespace.run(line)
    }

    /// The way into the network namespace of a host.
    pub fn entrance(&self, i: usize) -> Result<Entrance> {
        self.network.hosts[self.booted[i].station].namespace.entrance()
    }

    /// The way into the client's namespace.
    pub fn client(&self) -> Result<Entrance> {
        self.network.hosts[0].namespace.entrance()
    }
}

/// One host.
pub struct BootedHost {
    pub address: Ipv4Addr,
    boot: Boot,
    station: usize,
    cgroup: Option<Cgroup>,
    /// `unshare`, and the process that is number 1 inside.
    init: Option<(Child, Pid)>,
}

impl BootedHost {
    /// Makes a folder of this machine visible in the host, read-only, from the next boot on.
    pub fn show(&mut self, folder: &Path, inside: &str) {
        self.boot.show(folder, inside);
    }

    /// A path inside as seen from this machine; what is written there before a boot is found after it.
    pub fn file(&self, inside: &str) -> PathBuf {
        self.boot.upper().join(inside.trim_start_matches('/'))
    }

    /// Boots, and waits until systemd has started what it was to start.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        let deadline = Instant::now() + UP;
        loop {
            let state = self.try_run("systemctl is-system-running");
            let state = state.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
            // Units of the distribution may fail in namespaces: that is no concern of ours.
            if matches!(state.as_deref(), Ok("running" | "degraded")) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} is not up after {UP:?}, but {state:?}\n{}", self.boot.name(), self.boot.console());
            }
            thread::sleep(POLL);
        }
    }

    /// Boots without waiting for more than process 1.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.init.is_none(), "{} runs", self.boot.name());
        let cgroup = Cgroup::make(self.boot.namespace())?;
        let mut child = self.boot.command(&cgroup)?.spawn().context("cannot start unshare")?;
        self.cgroup = Some(cgroup);
        let deadline = Instant::now() + UP;
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("{} does not boot, {status}: {}", self.boot.name(), self.boot.console());
            }
            if let Some(pid) = systemd_below(child.id()) {
                self.init = Some((child, pid));
                return Ok(());
            }
            if Instant::now() > deadline {
                // Its process 1 goes with it.
                let _ = child.kill();
                let _ = child.wait();
                bail!("{} has no systemd after {UP:?}: {}", self.boot.name(), self.boot.console());
            }
            thread::sleep(POLL);
        }
    }

    /// Shuts down as `poweroff` does.
    pub fn stop(&mut self) -> Result<()> {
        let Some((mut child, pid)) = self.init.take() else { return Ok(()) };
        // SIGRTMIN+4 (systemd(1)); nix has no real-time signals.
        let halt = Command::new("kill").args(["-s", "RTMIN+4", &pid.to_string()]).status();
        let deadline = Instant::now() + DOWN;
        let ended = loop {
            match child.try_wait()? {
                Some(_) => break true,
                None if Instant::now() > deadline => break false,
                None => thread::sleep(POLL),
            }
        };
        if !ended {
            kill(pid, Signal::SIGKILL)?;
            child.wait()?;
        }
        self.cgroup = None;
        ensure!(halt.is_ok() && ended, "{} did not shut down and was killed", self.boot.name());
        Ok(())
    }

    pub fn reboot(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// Runs a shell script inside.
    pub fn try_run(&self, script: &str) -> Result<Output> {
        let (_, pid) = self.init.as_ref().with_context(|| format!("{} does not run", self.boot.name()))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--all", "env", "-i", &format!("PATH={PATH}"), "HOME=/root"]);
        command.args(["TERM=dumb", "SYSTEMD_PAGER=", "sh", "-c", script]).stdin(Stdio::null());
        command.output().with_context(|| format!("cannot run {script}"))
    }

    /// Runs a shell script inside that must succeed, and returns what it printed.
    pub fn run(&self, script: &str) -> Result<String> {
        let output = self.try_run(script)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            bail!("`{script}` on {} failed, {}: {out}{err}", self.boot.name(), output.status);
        }
        Ok(text(&output.stdout))
    }
}

impl Drop for BootedHost {
    fn drop(&mut self) {
        if let Some((mut child, pid)) = self.init.take() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

/// The child of `unshare`, once it has become systemd.
fn systemd_below(unshare: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
    children.split_whitespace().find_map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "systemd").then(|| pid.parse().ok().map(Pid::from_raw))?
    })
}
