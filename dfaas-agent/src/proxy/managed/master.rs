//! The master process: our child, or one that a former agent left.

use std::{ffi::OsString, fs, io::Write, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::{Paths, ProxyError, rights};

const POLL: Duration = Duration::from_millis(200);

pub(super) struct Master {
    pid: u32,
    process: Process,
}

enum Process {
    Child(Child),
    /// No child, so no exit status to wait for; its start time tells it from a later process of the same pid.
    Adopted {
        started: Option<String>,
    },
}

impl Master {
    pub(super) fn adopted(pid: u32) -> Self {
        Self { pid, process: Process::Adopted { started: start_time(pid) } }
    }

    pub(super) fn spawn(paths: &Paths) -> Result<Self, ProxyError> {
        // A file, not a pipe: HAProxy goes on writing when the agent is gone.
        let log = paths.open_log().map_err(ProxyError::io("open", &paths.log))?;
        let errors = log.try_clone().map_err(ProxyError::io("open", &paths.log))?;
        let arguments: [OsString; 7] = [
            "-W".into(),
            "-f".into(),
            paths.config.clone().into(),
            "-p".into(),
            paths.pid_file.clone().into(),
            "-S".into(),
            format!("unix@{},mode,600", paths.master_socket.display()).into(),
        ];
        let order = match &paths.init {
            Some(_) => rights::order(paths, &arguments)?.encode(),
            None => Vec::new(),
        };
        let mut command = match &paths.init {
            Some(init) => Command::new(init),
            None => Command::new(&paths.program),
        };
        match &paths.init {
            Some(_) => command.arg("server-init").stdin(Stdio::piped()),
            None => command.args(arguments).stdin(Stdio::null()),
        };
        // Ctrl-C in the agent's terminal is not meant for HAProxy.
        command.stdout(log).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(ProxyError::io("run", &paths.program))?;
        if let Some(stdin) = child.stdin.take() {
            // Less than a pipe holds.
            let written = stdin.into_owned_fd().and_then(|fd| fs::File::from(fd).write_all(&order));
            written.map_err(ProxyError::io("run", &paths.program))?;
        }
        let pid = child.id().unwrap_or(0);
        tracing::debug!(pid, "started haproxy");
        Ok(Self { pid, process: Process::Child(child) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn signal(&self, signal: Signal) {
        self::signal(self.pid, signal);
    }

    /// Returns when the process has ended.
    pub(super) async fn ended(&mut self) {
        match &mut self.process {
            Process::Child(child) => match child.wait().await {
                Ok(status) => tracing::debug!(pid = self.pid, "haproxy ended with {status}"),
                Err(err) => tracing::error!(pid = self.pid, "waiting for haproxy: {err}"),
            },
            Process::Adopted { started } => {
                while started.is_some() && start_time(self.pid) == *started {
                    sleep(POLL).await;
                }
            }
        }
    }
}

pub(super) fn signal(pid: u32, signal: Signal) {
    // 0 and negative numbers would mean groups of processes.
    if let Ok(pid) = i32::try_from(pid)
        && pid > 0
        && let Err(err) = kill(Pid::from_raw(pid), signal)
    {
        tracing::debug!(pid, "signal {signal}: {err}");
    }
}

/// When the process started, in clock ticks since boot; `None` if there is no such process, or but a zombie.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state follows it, the start time is 19 fields further.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(str::to_owned))?
}
