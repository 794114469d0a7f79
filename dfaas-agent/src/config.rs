//! Settings: `AGENT_*` names from flags, the environment, or a dotenv file, in this order of precedence.
//!
//! The table of names is in `keys`; [`sources`] finds each value and remembers where it came from; this file turns them
//! into a checked [`Config`]. All wrong values are reported at once.

pub(crate) mod file;
pub(crate) mod keys;
mod kinds;
mod overlay;
mod planning;
mod reader;
pub(crate) mod setting;
pub(crate) mod sources;
pub(crate) mod untrusted;
mod values;

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use kinds::{ForecasterKind, ProxyKind};
pub(crate) use overlay::OverlayConfig;
pub(crate) use planning::PlanningConfig;
use reader::Reader;
use sources::Resolved;

use dfaas_common::settings::HintWay;

use crate::{
    mode::{FirewallPolicy, Mode, XdpPlace},
    name::{FunctionName, Host},
    peers::Terms,
    platform::{Credentials, Password, PlatformKind},
    strategy::Strategy,
};

/// Everything the agent is told, checked.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) debug: bool,
    pub(crate) log_datetime: bool,
    pub(crate) log_colors: bool,
    pub(crate) node: NodeConfig,
    pub(crate) overlay: OverlayConfig,
    pub(crate) kernel: KernelConfig,
    pub(crate) proxy: ProxyConfig,
    pub(crate) platform: PlatformConfig,
    pub(crate) strategy: StrategyConfig,
    pub(crate) planning: PlanningConfig,
    /// The agent's own HTTP server.
    pub(crate) http_address: SocketAddr,
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) detach_on_exit: bool,
    /// What may be meant otherwise, though none of it is wrong.
    pub(crate) remarks: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct NodeConfig {
    /// Announced to other nodes.
    pub(crate) host: Host,
    /// What clients call.
    pub(crate) service: SocketAddrV4,
    /// That address was set, so that nothing listens at others for clients.
    pub(crate) service_alone: bool,
    /// Where peers' proxies send calls.
    pub(crate) peer_port: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct KernelConfig {
    pub(crate) interface: String,
    /// `None`: the most that works.
    pub(crate) mode: Option<Mode>,
    /// `None`: native, else generic.
    pub(crate) xdp: Option<XdpPlace>,
    pub(crate) tunnel: Ipv4Addr,
    pub(crate) placed: SocketAddrV4,
    pub(crate) handoff: SocketAddrV4,
    pub(crate) aliases: (Ipv4Addr, u8),
    pub(crate) hint_way: HintWay,
    pub(crate) pin_dir: PathBuf,
    pub(crate) firewall: FirewallPolicy,
    pub(crate) nft: PathBuf,
}

#[derive(Clone, Debug)]
pub(crate) struct ProxyConfig {
    pub(crate) kind: ProxyKind,
    pub(crate) binary: PathBuf,
    /// Of an external proxy: the file to write, its runtime socket, how to reload it.
    pub(crate) file: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) reload_command: String,
    pub(crate) sticky: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PlatformConfig {
    pub(crate) kind: &'static PlatformKind,
    pub(crate) gateway_host: Host,
    pub(crate) gateway_port: u16,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) embedded_address: SocketAddr,
    pub(crate) embedded_user: String,
    pub(crate) embedded_folders: Vec<PathBuf>,
    /// Instead of the label `dfaas.maxrate`.
    pub(crate) rate_limits: BTreeMap<FunctionName, u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StrategyConfig {
    pub(crate) strategy: Strategy,
    /// The original's arithmetic, for comparison.
    pub(crate) compat: bool,
    pub(crate) period: Duration,
    pub(crate) rate_window: Duration,
    pub(crate) burst: Duration,
    pub(crate) grant_lifetime: Duration,
}

/// All that is wrong with the settings.
#[derive(Debug)]
pub(crate) struct InvalidConfig(Vec<String>);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrong setting{}:", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for InvalidConfig {}

impl Config {
    /// `interface_address` finds the first IPv4 address of an interface.
    pub(crate) fn new(
        resolved: &Resolved,
        interface_address: impl Fn(&str) -> Option<Ipv4Addr>,
    ) -> Result<Self, InvalidConfig> {
        let mut read = Reader::new(resolved);
        // All of them, so that each tells what is wrong with it.
        let addresses = read.get(&keys::INTERFACE).and_then(|name| addresses(&mut read, interface_address(&name)));
        let overlay = OverlayConfig::read(&mut read);
        let planning = PlanningConfig::read(&mut read);
        let platform = PlatformConfig::read(&mut read);
        let built = (|| Self::build(&read, addresses?, overlay?, planning?, platform?))();
        read.finish(built)
    }

    fn build(
        read: &Reader<'_>,
        addresses: Addresses,
        overlay: OverlayConfig,
        planning: PlanningConfig,
        platform: PlatformConfig,
    ) -> Option<Self> {
        Some(Self {
            debug: read.get(&keys::DEBUG)?,
            log_datetime: read.get(&keys::LOG_DATETIME)?,
            log_colors: read.get(&keys::LOG_COLORS)?,
            node: NodeConfig {
                host: addresses.node,
                service: SocketAddrV4::new(addresses.service, read.get(&keys::SERVICE_PORT)?),
                service_alone: read.get(&keys::SERVICE_ADDRESS)?.is_some(),
                peer_port: read.get(&keys::PEER_PORT)?,
            },
            overlay,
            kernel: KernelConfig::read(read, addresses.tunnel)?,
            proxy: ProxyConfig::read(read)?,
            platform,
            strategy: StrategyConfig::read(read)?,
            planning,
            http_address: read.get(&keys::HTTP_ADDRESS)?,
            state_dir: read.get(&keys::STATE_DIR)?,
            run_dir: read.get(&keys::RUN_DIR)?,
            detach_on_exit: read.get(&keys::DETACH_ON_EXIT)?,
            remarks: read.remarks.clone(),
        })
    }

    /// What peers must do to count.
    pub(crate) fn terms(&self) -> Terms {
        let strategy = &self.strategy;
        Terms { timeout: self.overlay.peer_timeout, period: strategy.period, strategy: strategy.strategy }
    }
}

struct Addresses {
    node: Host,
    service: Ipv4Addr,
    tunnel: Ipv4Addr,
}

/// Those that are given; else the interface's own, or the one that other nodes are told.
fn addresses(read: &mut Reader<'_>, own: Option<Ipv4Addr>) -> Option<Addresses> {
    let (node, service, tunnel) =
        (read.get(&keys::NODE_IP)?, read.get(&keys::SERVICE_ADDRESS)?, read.get(&keys::TUNNEL_ADDRESS)?);
    let told = node.as_ref().and_then(|host| host.as_str().parse().ok());
    let fallback = own.or(told);
    let node = node.or_else(|| own?.to_string().parse().ok());
    let (service, tunnel) = (service.or(fallback), tunnel.or(fallback));
    let missing = [
        (keys::NODE_IP.key.name, node.is_none()),
        (keys::SERVICE_ADDRESS.key.name, service.is_none()),
        (keys::TUNNEL_ADDRESS.key.name, tunnel.is_none()),
    ];
    let missing: Vec<_> = missing.iter().filter(|one| one.1).map(|one| one.0).collect();
    if !missing.is_empty() {
        let text = format!("expected an interface with an IPv4 address, or else {}", missing.join(", "));
        read.wrong(&keys::INTERFACE.key, text);
    }
    Some(Addresses { node: node?, service: service?, tunnel: tunnel? })
}

impl KernelConfig {
    fn read(read: &Reader<'_>, tunnel: Ipv4Addr) -> Option<Self> {
        let interface = read.get(&keys::INTERFACE)?;
        Some(Self {
            mode: read.get(&keys::MODE)?,
            xdp: read.get(&keys::XDP)?,
            tunnel,
            placed: SocketAddrV4::new(Ipv4Addr::LOCALHOST, read.get(&keys::PLACED_PORT)?),
            handoff: SocketAddrV4::new(Ipv4Addr::LOCALHOST, read.get(&keys::HANDOFF_PORT)?),
            aliases: read.get(&keys::ALIAS_RANGE)?,
            hint_way: read.get(&keys::HINT)?,
            pin_dir: read
                .get(&keys::PIN_DIR)?
                .unwrap_or_else(|| PathBuf::from(format!("/sys/fs/bpf/dfaas/{interface}"))),
            firewall: read.get(&keys::FIREWALL)?,
            nft: read.get(&keys::NFT_BINARY)?,
            interface,
        })
    }
}

impl ProxyConfig {
    fn read(read: &Reader<'_>) -> Option<Self> {
        Some(Self {
            kind: read.get(&keys::PROXY)?,
            binary: read.get(&keys::HAPROXY_BINARY)?,
            file: read.get(&keys::HAPROXY_CONFIG_FILE)?,
            socket: read.get(&keys::HAPROXY_SOCKET)?,
            reload_command: read.get(&keys::HAPROXY_RELOAD_COMMAND)?,
            sticky: read.get(&keys::STICKY)?,
        })
    }
}

impl PlatformConfig {
    fn read(read: &mut Reader<'_>) -> Option<Self> {
        let user = read.get(&keys::OPENFAAS_USER)?;
        let (password, password_file) = (read.get(&keys::OPENFAAS_PASSWORD)?, read.get(&keys::OPENFAAS_PASSWORD_FILE)?);
        match (&user, password.is_some() || password_file.is_some()) {
            (Some(_), false) => read.wrong(
                &keys::OPENFAAS_USER.key,
                "without a password, expected AGENT_OPENFAAS_PASSWORD_FILE or AGENT_OPENFAAS_PASSWORD too",
            ),
            (None, true) => {
                read.wrong(&keys::OPENFAAS_USER.key, "not given, expected the name that goes with the password");
            }
            _ => {}
        }
        Some(Self {
            kind: read.get(&keys::PLATFORM)?,
            gateway_host: read.get(&keys::OPENFAAS_HOST)?,
            gateway_port: read.get(&keys::OPENFAAS_PORT)?,
            user,
            password,
            password_file,
            embedded_address: read.get(&keys::EMBEDDED_ADDRESS)?,
            embedded_user: read.get(&keys::EMBEDDED_USER)?,
            embedded_folders: read.get(&keys::EMBEDDED_FOLDERS)?,
            rate_limits: read.get(&keys::RATE_LIMITS)?,
        })
    }
}

impl PlatformConfig {
    /// Those that the settings give.
    pub(crate) fn given_credentials(&self) -> Option<Credentials> {
        let password = match (&self.password_file, &self.password) {
            (Some(file), _) => Password::File(file.clone()),
            (None, Some(text)) => Password::Text(text.clone()),
            (None, None) => return None,
        };
        Some(Credentials { user: self.user.clone()?, password })
    }

    /// Also those that the platform inside the agent makes for itself.
    pub(crate) fn credentials(&self, state_dir: &Path) -> Option<Credentials> {
        let made = || self.kind.made_credentials.map(|made| made(state_dir));
        self.given_credentials().or_else(made)
    }

    /// Where its administrative calls go.
    pub(crate) fn api(&self) -> String {
        if self.kind.made_credentials.is_some() {
            return format!("http://{}", self.embedded_address);
        }
        format!("http://{}:{}", self.gateway_host, self.gateway_port)
    }
}

impl StrategyConfig {
    fn read(read: &Reader<'_>) -> Option<Self> {
        Some(Self {
            strategy: read.get(&keys::STRATEGY)?,
            compat: read.get(&keys::COMPAT)?,
            period: read.get(&keys::RECALC_PERIOD)?,
            rate_window: read.get(&keys::RATE_WINDOW)?,
            burst: read.get(&keys::BURST)?,
            grant_lifetime: read.get(&keys::GRANT_LIFETIME)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
        let file = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let resolved = Resolved::new(&BTreeMap::new(), |_| None, &file);
        Config::new(&resolved, |_| Some(Ipv4Addr::new(10, 0, 0, 9)))
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = config(&[]).unwrap();
        assert_eq!(config.node.service, "10.0.0.9:80".parse().unwrap());
        assert_eq!(config.kernel.mode, None);
        assert_eq!(config.kernel.aliases, (Ipv4Addr::new(169, 254, 64, 0), 18));
        assert_eq!(config.strategy.strategy, Strategy::Recalc);
        assert!(config.overlay.bootstrap.is_empty());
    }

    #[test]
    fn every_wrong_value_is_named_at_once() {
        let error = config(&[
            ("AGENT_SERVICE_PORT", "0"),
            ("AGENT_RECALC_PERIOD", "0s"),
            ("AGENT_MODE", "fast"),
            ("AGENT_LISTEN", "/ip4/0.0.0.0/tcp/31600,nonsense"),
            ("AGENT_DEBUG", "maybe"),
            ("AGENT_BOOTSTRAP_NODES", "true"),
            ("AGENT_BOOTSTRAP_NODES_LIST", "/ip4/10.0.0.1/tcp/31600"),
            ("AGENT_RATE_LIMITS", "figlet"),
        ])
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("7 wrong settings:"), "{error}");
        for part in [
            "AGENT_SERVICE_PORT",
            "AGENT_RECALC_PERIOD",
            "\"fast\"",
            "\"nonsense\"",
            "\"maybe\"",
            "/p2p/",
            "AGENT_RATE_LIMITS",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn every_setting_of_the_original_is_accepted_and_those_without_effect_are_checked_too() {
        let settings = [
            ("AGENT_HAPROXY_HOST", "haproxy.default.svc.cluster.local"),
            ("AGENT_HAPROXY_PORT", "80"),
            ("AGENT_DATAPLANEAPI_HOST", "haproxy.default.svc.cluster.local"),
            ("AGENT_DATAPLANEAPI_PORT", "5555"),
            ("AGENT_DATAPLANEAPI_USER", "admin"),
            ("AGENT_DATAPLANEAPI_PASSWORD", "admin"),
            ("AGENT_RUNTIMEAPI_HOST", "haproxy.default.svc.cluster.local"),
            ("AGENT_RUNTIMEAPI_PORT", "6666"),
            ("AGENT_REJECTOR_HOST", "rejector.default.svc.cluster.local"),
            ("AGENT_REJECTOR_PORT", "8080"),
            ("AGENT_PROMETHEUS_HOST", "prometheus.default.svc.cluster.local"),
            ("AGENT_PROMETHEUS_PORT", "80"),
            ("AGENT_PROMETHEUS_STEP", "5s"),
            ("AGENT_BOOTSTRAP_FORCE", "false"),
        ];
        let file = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let resolved = Resolved::new(&BTreeMap::new(), |_| None, &file);
        assert!(resolved.complaints().is_empty(), "{:?}", resolved.complaints());
        config(&settings).unwrap();
        let error = config(&[("AGENT_REJECTOR_PORT", "x"), ("AGENT_PROMETHEUS_STEP", "5")]).unwrap_err().to_string();
        assert!(error.contains("AGENT_REJECTOR_PORT=\"x\"") && error.contains("AGENT_PROMETHEUS_STEP"), "{error}");
    }

    #[test]
    fn lists_durations_and_limits_are_read() {
        let peer = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";
        let config = config(&[
            ("AGENT_BOOTSTRAP_NODES", "1"),
            ("AGENT_BOOTSTRAP_NODES_LIST", &format!(" /ip4/10.0.0.1/tcp/31600/p2p/{peer} ,, ")),
            ("AGENT_RECALC_PERIOD", "1m30s"),
            ("AGENT_RATE_LIMITS", "figlet=10, shasum=20"),
            ("AGENT_XDP", "generic"),
        ])
        .unwrap();
        assert_eq!(config.overlay.bootstrap.len(), 1);
        assert_eq!(config.strategy.period, Duration::from_secs(90));
        assert_eq!(config.platform.rate_limits.values().copied().collect::<Vec<_>>(), [10, 20]);
        assert_eq!(config.kernel.xdp, Some(XdpPlace::Generic));
    }

    #[test]
    fn an_interface_that_is_not_there_is_the_one_thing_named() {
        let resolve = |pairs: &[(&str, &str)]| {
            let file = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Config::new(&Resolved::new(&BTreeMap::new(), |_| None, &file), |_| None)
        };
        let error = resolve(&[("AGENT_INTERFACE", "nosuch0")]).unwrap_err().to_string();
        assert!(error.starts_with("1 wrong setting:") && error.contains("AGENT_INTERFACE=\"nosuch0\""), "{error}");
        // With addresses of its own a node may start before its interface has one.
        assert_eq!(resolve(&[("AGENT_NODE_IP", "10.0.0.7")]).unwrap().kernel.tunnel, Ipv4Addr::new(10, 0, 0, 7));
    }

    #[test]
    fn half_of_a_user_with_password_is_wrong_and_no_password_is_shown() {
        for given in [("AGENT_OPENFAAS_USER", "admin"), ("AGENT_OPENFAAS_PASSWORD", "hunter2")] {
            let error = config(&[given]).unwrap_err().to_string();
            assert!(error.contains("AGENT_OPENFAAS_USER") && !error.contains("hunter2"), "{error}");
        }
        config(&[("AGENT_OPENFAAS_USER", "admin"), ("AGENT_OPENFAAS_PASSWORD", "hunter2")]).unwrap();
    }

    #[test]
    fn bootstrap_nodes_that_nobody_dials_are_remarked() {
        let peer = "/ip4/10.0.0.1/tcp/31600/p2p/12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";
        let remarks = config(&[("AGENT_BOOTSTRAP_NODES_LIST", peer)]).unwrap().remarks;
        assert!(remarks.len() == 1 && remarks[0].contains("AGENT_BOOTSTRAP_NODES is not true"), "{remarks:?}");
        assert!(config(&[]).unwrap().remarks.is_empty());
    }
}
