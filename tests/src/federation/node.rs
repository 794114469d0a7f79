//! One node: its files and its agent's process.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions, Permissions},
    net::Ipv4Addr,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use dfaas_agent::{name::NodeId, p2p::identity::Identity, status::Status};
use nix::{
    sys::signal::{SIGHUP, SIGTERM, Signal, kill},
    unistd::Pid,
};

use super::{
    FunctionGateway, POLL, gateway,
    options::{FUNCTIONS, Functions, Options},
};
use crate::{
    client::Call,
    netns::{Entrance, Namespace},
    network::Host,
};

/// Beneath it every node has its pins.
pub(super) const PIN_ROOT: &str = "/sys/fs/bpf/dfaas";
/// Beneath it every node has its sockets: their paths must be short.
pub(super) const RUN_ROOT: &str = "/run/dfaas-nodes";
const HTTP_ADDRESS: &str = "127.0.0.1:8090";
const LINES_SHOWN: usize = 40;
const LINES_MAX_BYTES: usize = 8 << 10;

pub struct Node {
    pub name: String,
    pub id: NodeId,
    pub address: Ipv4Addr,
    pub log: PathBuf,
    pub run_dir: PathBuf,
    pub pin_dir: PathBuf,
    settings: PathBuf,
    state_dir: PathBuf,
    /// Its agent takes the kernel path away when it ends.
    detaches: bool,
    agent: Option<Child>,
}

impl Node {
    pub(super) fn name_of(i: usize) -> String {
        format!("n{}", i + 1)
    }

    /// Makes its directories and its key.
    pub(super) fn new(i: usize, address: Ipv4Addr, prefix: &str, directory: &Path) -> Result<Self> {
        let name = Self::name_of(i);
        let state_dir = directory.join(&name);
        let run_dir = Path::new(RUN_ROOT).join(format!("{prefix}-{name}"));
        for directory in [&state_dir, &run_dir] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        // HAProxy has a user of its own, which must get through, whatever the umask.
        for directory in [Path::new(RUN_ROOT), &run_dir] {
            let mode = Permissions::from_mode(0o755);
            fs::set_permissions(directory, mode).with_context(|| format!("cannot open {}", directory.display()))?;
        }
        let identity = Identity::load_or_create(&state_dir.join("privatekey.pem"))?;
        Ok(Self {
            id: identity.node_id,
            address,
            log: directory.join(format!("{name}.log")),
            settings: directory.join(format!("{name}.env")),
            pin_dir: Path::new(PIN_ROOT).join(format!("{prefix}-{name}")),
            name,
            run_dir,
            state_dir,
            detaches: true,
            agent: None,
        })
    }

    pub(super) fn write_settings(&mut self, options: &Options, i: usize, bootstrap: Option<String>) -> Result<()> {
        let limits: Vec<String> =
            FUNCTIONS.iter().map(|function| format!("{function}={}", options.rate_limit(function, i))).collect();
        let xdp = options.xdp.map_or("auto".to_owned(), |place| place.to_string());
        let mut lines = vec![
            ("AGENT_INTERFACE", Host::INTERFACE.to_owned()),
            ("AGENT_MODE", options.mode.to_string()),
            ("AGENT_XDP", xdp),
            ("AGENT_STRATEGY", options.strategy.clone()),
            ("AGENT_RATE_LIMITS", limits.join(",")),
            ("AGENT_HTTP_ADDRESS", HTTP_ADDRESS.to_owned()),
            ("AGENT_STATE_DIR", self.state_dir.display().to_string()),
            ("AGENT_RUN_DIR", self.run_dir.display().to_string()),
            ("AGENT_PIN_DIR", self.pin_dir.display().to_string()),
            ("AGENT_DETACH_ON_EXIT", "true".to_owned()),
            ("AGENT_BOOTSTRAP_NODES", bootstrap.is_some().to_string()),
        ];
        lines.extend(match options.functions {
            Functions::InAgent => vec![("AGENT_PLATFORM", "embedded".to_owned())],
            Functions::Lasting => vec![
                ("AGENT_PLATFORM", "openfaas".to_owned()),
                ("AGENT_OPENFAAS_HOST", gateway::ADDRESS.ip().to_string()),
                ("AGENT_OPENFAAS_PORT", gateway::ADDRESS.port().to_string()),
                ("AGENT_OPENFAAS_USER", FunctionGateway::USER.to_owned()),
                ("AGENT_OPENFAAS_PASSWORD", FunctionGateway::PASSWORD.to_owned()),
            ],
        });
        lines.extend(bootstrap.map(|address| ("AGENT_BOOTSTRAP_NODES_LIST", address)));
        lines.retain(|(key, _)| !options.settings.contains_key(*key));
        self.detaches = options.settings.get("AGENT_DETACH_ON_EXIT").is_none_or(|value| value == "true");
        lines.extend(options.settings.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let mut text = String::new();
        for (key, value) in lines {
            ensure!(!value.contains(['\'', '\n']), "{key} is {value:?}: it may hold no quote and no line end");
            writeln!(text, "{key}='{value}'")?;
        }
        fs::write(&self.settings, text).with_context(|| format!("cannot write {}", self.settings.display()))
    }

    /// Replaces lines of the settings file, then sends SIGHUP.
    pub(super) fn change_settings(&self, changes: &[(&str, &str)]) -> Result<()> {
        let context = || format!("cannot change {}", self.settings.display());
        let mut text = fs::read_to_string(&self.settings).with_context(context)?;
        for (key, value) in changes {
            let others = text.lines().filter(|line| !line.starts_with(&format!("{key}=")));
            text =
                others.chain([format!("{key}='{value}'").as_str()]).fold(String::new(), |all, line| all + line + "\n");
        }
        fs::write(&self.settings, text).with_context(context)?;
        let pid = self.agent_pid().with_context(|| format!("{} has no running agent", self.name))?;
        signal(pid as i32, SIGHUP)
    }

    pub(super) fn start(&mut self, program: &Path, namespace: &Namespace) -> Result<()> {
        ensure!(self.agent.is_none(), "the agent of {} is running", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log: File = log.with_context(|| format!("cannot open {}", self.log.display()))?;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&self.settings).env_clear();
        for name in ["PATH", "RUST_LOG", "RUST_BACKTRACE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Out of the terminal's group: its Ctrl-C is ours to handle.
        command.process_group(0);
        self.agent = Some(namespace.spawn(&mut command).with_context(|| format!("agent of {}", self.name))?);
        Ok(())
    }

    /// Of the embedded platform's `/system`, made by its agent.
    pub fn gateway_password(&self) -> Result<String> {
        let path = self.state_dir.join("gateway-password");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.trim_end().to_owned())
    }

    pub fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Child::id)
    }

    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.agent.as_mut()?.try_wait().ok()??;
        self.agent = None;
        Some(status)
    }

    pub(super) fn ready(entrance: &Entrance) -> Result<()> {
        let answer = Call::get(format!("http://{HTTP_ADDRESS}/readyz")).send(entrance)?;
        ensure!(answer.status == 200, "/readyz answers {}: {}", answer.status, answer.text().trim());
        Ok(())
    }

    pub(super) fn status(&self, entrance: &Entrance) -> Result<Status> {
        let context = || format!("status of {}", self.name);
        let answer = Call::get(format!("http://{HTTP_ADDRESS}/status")).send(entrance).with_context(context)?;
        ensure!(answer.status == 200, "{}: answer {}, expected 200", context(), answer.status);
        serde_json::from_slice(&answer.body).with_context(context)
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        let mut agent = self.agent.take().with_context(|| format!("{} has no running agent", self.name))?;
        agent.kill()?;
        agent.wait()?;
        Ok(())
    }

    pub(super) fn ask_to_end(&mut self) -> Result<()> {
        if let Some(status) = self.exited() {
            bail!("agent of {} had ended already, {status}; {}", self.name, self.last_lines());
        }
        self.agent.as_ref().map_or(Ok(()), |agent| signal(agent.id() as i32, SIGTERM))
    }

    /// Waits for the end of an agent that was asked to; kills it at the deadline.
    pub(super) fn wait_end(&mut self, deadline: Instant) -> Result<()> {
        while let Some(agent) = &mut self.agent {
            if let Some(status) = agent.try_wait()? {
                self.agent = None;
                ensure!(status.success(), "agent of {} ended with {status}; {}", self.name, self.last_lines());
                let pins = fs::read_dir(&self.pin_dir).map_or(0, Iterator::count);
                ensure!(
                    pins == 0 || !self.detaches,
                    "agent of {} left {pins} pins in {}",
                    self.name,
                    self.pin_dir.display()
                );
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill()?;
                bail!("agent of {} did not end when asked to, and was killed; {}", self.name, self.last_lines());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// The process is somebody else's from here on, or dead.
    pub(super) fn forget(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.try_wait();
        }
    }

    /// Removes what a killed agent leaves outside of its directories.
    pub(super) fn remove_traces(&self) -> Result<()> {
        super::remove_directory(&self.pin_dir)?;
        super::remove_directory(&self.run_dir)
    }

    /// For messages: the end of the log.
    pub fn last_lines(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LINES_MAX_BYTES)..]).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let lines = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n  ");
        format!("last lines of {}:\n  {lines}", self.log.display())
    }
}

pub(super) fn signal(pid: i32, signal: Signal) -> Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to {pid}")),
    }
}

/// Of the processes with this name the one that is not a child of another one.
pub(super) fn master_of(pids: &[i32], name: &str) -> Option<i32> {
    let field = |pid: i32, name: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    };
    let named = |pid: i32| field(pid, "Name").as_deref() == Some(name);
    let parent = |pid: i32| field(pid, "PPid").and_then(|text| text.parse().ok()).unwrap_or(0);
    pids.iter().copied().find(|pid| named(*pid) && !named(parent(*pid)))
}

/// What the kernel path needs, and a client that opens many connections.
pub(super) fn set_kernel_settings(host: &Host) -> Result<()> {
    const SETTINGS: [(&str, &str); 6] = [
        ("tcp_syncookies", "1"),
        ("tcp_timestamps", "1"),
        ("tcp_sack", "1"),
        ("tcp_window_scaling", "1"),
        ("tcp_rfc1337", "0"),
        ("tcp_tw_reuse", "1"),
    ];
    SETTINGS.iter().try_for_each(|(name, value)| host.namespace.set_ipv4(name, value))
}
