//! Network namespaces that clean up after themselves.

use std::{
    fs::{self, File},
    process::{Child, Command, Output},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};

/// A named network namespace. Dropping it ends every process inside and removes it.
pub struct Namespace {
    name: String,
    keep: bool,
}

impl Namespace {
    /// Makes it, with the loopback interface up.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name, keep: false };
        namespace.run("ip link set lo up")?;
        Ok(namespace)
    }

    /// One that is there already; it goes when this is dropped.
    pub fn existing(name: impl Into<String>) -> Self {
        Self { name: name.into(), keep: false }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves it in place when dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a command line (words separated by blanks) inside and returns what it printed.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("empty command line")?;
        let output = self.command(program).args(words).output().with_context(|| format!("cannot run {line}"))?;
        checked(&format!("{line} (in {})", self.name), &output)
    }

    /// Starts a program inside. Other than under `ip netns exec` the mounts stay, so that it sees what is pinned.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        self.enter(|| command.spawn())?.with_context(|| format!("cannot start {}", command.get_program().display()))
    }

    /// Calls a function on a thread of its own that has entered the namespace; sockets made there belong to it.
    pub fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        self.entrance()?.enter(f)
    }

    /// Sets what `sysctl net.ipv4.NAME` would. Without that program: a minimal machine has none.
    pub fn set_ipv4(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/ipv4/{name}");
        self.enter(|| fs::write(&path, value))?
            .with_context(|| format!("cannot set {path} to {value} in {}", self.name))
    }

    /// A way in that can be given away.
    pub fn entrance(&self) -> Result<Entrance> {
        let file = File::open(format!("/run/netns/{}", self.name));
        Ok(Entrance(Arc::new(file.with_context(|| format!("cannot open namespace {}", self.name))?)))
    }

    /// Processes inside.
    pub fn pids(&self) -> Vec<i32> {
        run("ip", &["netns", "pids", &self.name])
            .map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
            .unwrap_or_default()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for pid in self.pids() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        if let Err(e) = run("ip", &["netns", "del", &self.name]) {
            eprintln!("{e:#}");
        }
    }
}

/// A way into a namespace.
#[derive(Clone, Debug)]
pub struct Entrance(Arc<File>);

impl Entrance {
    /// Moves the calling thread into the namespace, for good.
    pub fn go(&self) -> Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")
    }

    /// Calls a function on a thread of its own that has entered the namespace.
    pub fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| self.go().map(|()| f()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Runs a command and returns what it printed.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    let line = format!("{program} {}", args.join(" "));
    let output = Command::new(program).args(args).output().with_context(|| format!("cannot run {line}"))?;
    checked(&line, &output)
}

fn checked(line: &str, output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("`{line}` failed, {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
