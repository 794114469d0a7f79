//! What the operator decides about the proxy, checked before anything is written or started.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::ProxyError;
use crate::name::{Host, NodeId};

/// `sockaddr_un` holds 108 bytes, and HAProxy binds under a longer, temporary name first.
const SOCKET_PATH_MAX: usize = 90;

#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// This node, as its peers know it.
    pub node: NodeId,
    /// Own host, told to clients as `X-Server`.
    pub host: Host,
    /// Addresses for calls that nobody placed: the service address and the port announced to peers.
    pub service: Vec<SocketAddr>,
    /// Listener for connections the kernel placed on this node.
    pub placed: Option<SocketAddr>,
    /// What clients call: the local address of such a connection, which no process of this machine can have at that listener.
    /// `None`: any may connect.
    pub placed_for: Option<SocketAddr>,
    /// Listener for connections a peer's kernel handed to this node.
    pub handoff: Option<SocketAddr>,
    /// Keep handed-off connections open after the first answer.
    pub sticky: bool,
    /// Take note of the load-test stage that clients tell in `DFaaS-K6-Stage`.
    pub stages: bool,
    /// The FaaS gateway of this node.
    pub gateway_host: Host,
    pub gateway_port: u16,
    /// Where HAProxy's own Prometheus exporter listens.
    pub exporter: Option<SocketAddr>,
    /// Configuration, sockets, pid file and log of a managed HAProxy.
    pub run_dir: PathBuf,
    /// The `haproxy` binary.
    pub program: PathBuf,
    /// The program that becomes HAProxy when its first argument is `server-init`, without rights but that to low ports;
    /// `None`: HAProxy is started as it is, with the rights of this process.
    pub init: Option<PathBuf>,
    /// User and group of the workers; `None`: those of the agent.
    pub user: Option<(String, String)>,
    pub instance: Instance,
}

/// Whose process HAProxy is.
#[derive(Clone, Debug)]
pub enum Instance {
    /// Started and supervised by the agent.
    Managed,
    External(External),
}

/// A HAProxy that the system runs.
#[derive(Clone, Debug)]
pub struct External {
    /// Its configuration file; the map files are written beside it.
    pub config: PathBuf,
    /// Program and arguments that make it load the file, such as `systemctl reload haproxy`.
    pub reload: Vec<String>,
    /// Where the configuration puts the runtime socket.
    pub runtime_socket: PathBuf,
}

impl ProxySettings {
    pub(super) fn runtime_socket(&self) -> PathBuf {
        match &self.instance {
            Instance::Managed => self.run_dir.join("runtime.sock"),
            Instance::External(external) => external.runtime_socket.clone(),
        }
    }

    pub(super) fn master_socket(&self) -> PathBuf {
        self.run_dir.join("master.sock")
    }

    /// Carries the rate tables from the old worker to the new one over a reload.
    pub(super) fn tables_socket(&self) -> PathBuf {
        self.run_dir.join("tables.sock")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.run_dir.join("haproxy.pid")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.run_dir.join("haproxy.log")
    }

    pub(super) fn config_file(&self) -> PathBuf {
        match &self.instance {
            Instance::Managed => self.run_dir.join("haproxy.cfg"),
            Instance::External(external) => external.config.clone(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ProxyError> {
        if self.service.is_empty() {
            return Err(refuse("service", "nothing", "at least one address"));
        }
        let mut seen = std::collections::BTreeSet::new();
        for address in self.service.iter().chain(&self.placed).chain(&self.handoff).chain(&self.exporter).copied() {
            if address.port() == 0 || !seen.insert(address) {
                return Err(refuse("listener", &address.to_string(), "a port, and every address once"));
            }
        }
        validate_path("run_dir", &self.run_dir)?;
        for socket in [self.runtime_socket(), self.master_socket(), self.tables_socket()] {
            validate_path("socket", &socket)?;
            if socket.as_os_str().len() > SOCKET_PATH_MAX {
                return Err(refuse("socket", &socket.display().to_string(), "a path of at most 90 bytes"));
            }
        }
        validate_path("config", &self.config_file())?;
        if let Instance::External(external) = &self.instance
            && external.reload.is_empty()
        {
            return Err(refuse("reload", "nothing", "a program and its arguments"));
        }
        for name in self.user.iter().flat_map(|(user, group)| [user, group]) {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                return Err(refuse("user", name, "letters, digits, '-' or '_'"));
            }
        }
        Ok(())
    }
}

/// The paths are written into the configuration, where blanks, quotes and backslashes have a meaning.
fn validate_path(name: &'static str, path: &Path) -> Result<(), ProxyError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_');
    if path.is_absolute() && path.as_os_str().as_encoded_bytes().iter().all(|b| plain(*b)) {
        return Ok(());
    }
    Err(refuse(name, &path.display().to_string(), "an absolute path of letters, digits, '.', '-' and '_'"))
}

fn refuse(name: &'static str, value: &str, expected: &'static str) -> ProxyError {
    ProxyError::Setting { name, value: value.to_owned(), expected }
}

#[cfg(test)]
pub(super) fn example() -> ProxySettings {
    ProxySettings {
        node: "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu".parse().unwrap(),
        host: "10.0.0.1".parse().unwrap(),
        service: vec!["0.0.0.0:80".parse().unwrap()],
        placed: Some("127.0.0.1:10080".parse().unwrap()),
        placed_for: Some("10.0.0.1:80".parse().unwrap()),
        handoff: Some("127.0.0.1:10081".parse().unwrap()),
        sticky: false,
        stages: false,
        gateway_host: "127.0.0.1".parse().unwrap(),
        gateway_port: 8080,
        exporter: None,
        run_dir: "/run/dfaas".into(),
        program: "haproxy".into(),
        init: None,
        user: None,
        instance: Instance::Managed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut ProxySettings)) -> String {
        let mut settings = example();
        change(&mut settings);
        settings.validate().err().map(|err| err.to_string()).unwrap_or_default()
    }

    #[test]
    fn settings_that_haproxy_could_misread_are_refused_by_name() {
        assert_eq!(refusal(|_| ()), "");
        for (text, named) in [
            (refusal(|s| s.service.clear()), "service"),
            (refusal(|s| s.exporter = s.placed), "127.0.0.1:10080"),
            (refusal(|s| s.run_dir = "run".into()), "run_dir"),
            (refusal(|s| s.run_dir = "/run/a b".into()), "/run/a b"),
            (refusal(|s| s.run_dir = "/run/x\nglobal".into()), "run_dir"),
            (refusal(|s| s.run_dir = format!("/run/{}", "x".repeat(90)).into()), "at most 90 bytes"),
            (refusal(|s| s.user = Some(("nobody".to_owned(), "no group".to_owned()))), "no group"),
        ] {
            assert!(text.contains(named), "{text:?} does not name {named:?}");
        }
    }
}
