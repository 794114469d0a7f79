//! Settings: `AGENT_*` names from flags, the environment, or a dotenv file, in this order of precedence.
//!
//! The table of names is in [`keys`]; [`sources`] finds each value and remembers where it came from; this file turns them
//! into a checked [`Config`]. All wrong values are reported at once.

pub(crate) mod keys;
mod overlay;
mod planning;
pub(crate) mod sources;
mod values;

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

pub(crate) use overlay::OverlayConfig;
pub(crate) use planning::{ForecasterKind, PlanningConfig};
use sources::Resolved;
use values::Reader;

use dfaas_common::settings::HintWay;

use crate::{
    mode::{FirewallPolicy, Mode, XdpPlace},
    name::{FunctionName, Host},
    peers::Terms,
    platform,
    strategy::Strategy,
};

/// Everything the agent is told, checked.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub debug: bool,
    pub log_datetime: bool,
    pub log_colors: bool,
    pub node: NodeConfig,
    pub overlay: OverlayConfig,
    pub kernel: KernelConfig,
    pub proxy: ProxyConfig,
    pub platform: PlatformConfig,
    pub strategy: StrategyConfig,
    pub planning: PlanningConfig,
    /// The agent's own HTTP server.
    pub http_address: SocketAddr,
    pub state_dir: PathBuf,
    pub run_dir: PathBuf,
    pub detach_on_exit: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct NodeConfig {
    /// Announced to other nodes.
    pub host: Host,
    /// What clients call.
    pub service: SocketAddrV4,
    /// Where peers' proxies send calls.
    pub peer_port: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct KernelConfig {
    pub interface: String,
    /// `None`: the most that works.
    pub mode: Option<Mode>,
    /// `None`: native, else generic.
    pub xdp: Option<XdpPlace>,
    pub tunnel: Ipv4Addr,
    pub placed: SocketAddrV4,
    pub handoff: SocketAddrV4,
    pub aliases: (Ipv4Addr, u8),
    pub hint_way: HintWay,
    pub pin_dir: PathBuf,
    pub firewall: FirewallPolicy,
    pub nft: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// Started and supervised by the agent.
    Managed,
    /// The system's own.
    External,
}

#[derive(Clone, Debug)]
pub(crate) struct ProxyConfig {
    pub kind: ProxyKind,
    pub binary: PathBuf,
    /// Of an external proxy: the file to write, its runtime socket, how to reload it.
    pub file: PathBuf,
    pub socket: PathBuf,
    pub reload_command: String,
    pub sticky: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PlatformConfig {
    pub kind: &'static platform::PlatformKind,
    pub gateway_host: Host,
    pub gateway_port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    pub embedded_address: SocketAddr,
    pub embedded_user: String,
    /// Instead of the label `dfaas.maxrate`.
    pub rate_limits: BTreeMap<FunctionName, u32>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StrategyConfig {
    pub strategy: Strategy,
    /// The original's arithmetic, for comparison.
    pub compat: bool,
    pub period: Duration,
    pub rate_window: Duration,
    pub burst: Duration,
    pub grant_lifetime: Duration,
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
        let interface: String = read.parse("AGENT_INTERFACE");
        let own = interface_address(&interface);
        let node_ip: Host = read.parse_or("AGENT_NODE_IP", || own.map(|a| a.to_string()));
        let as_v4 = |host: &Host| host.as_str().parse::<Ipv4Addr>().ok();
        let fallback = own.or_else(|| as_v4(&node_ip)).map(|a| a.to_string());
        let service_ip: Ipv4Addr = read.parse_or("AGENT_SERVICE_ADDRESS", || fallback.clone());
        let tunnel: Ipv4Addr = read.parse_or("AGENT_TUNNEL_ADDRESS", || fallback.clone());
        let state_dir: PathBuf = read.parse("AGENT_STATE_DIR");
        let run_dir: PathBuf = read.parse("AGENT_RUN_DIR");
        let config = Self {
            debug: read.bool("AGENT_DEBUG"),
            log_datetime: read.bool("AGENT_LOG_DATETIME"),
            log_colors: read.bool("AGENT_LOG_COLORS"),
            node: NodeConfig {
                host: node_ip,
                service: SocketAddrV4::new(service_ip, read.port("AGENT_SERVICE_PORT")),
                peer_port: read.port("AGENT_PEER_PORT"),
            },
            overlay: OverlayConfig::read(&mut read, state_dir.join("privatekey.pem")),
            kernel: KernelConfig {
                mode: read.auto("AGENT_MODE"),
                xdp: read.choice(
                    "AGENT_XDP",
                    &[("auto", None), ("native", Some(XdpPlace::Native)), ("generic", Some(XdpPlace::Generic))],
                ),
                tunnel,
                placed: SocketAddrV4::new(Ipv4Addr::LOCALHOST, read.port("AGENT_PLACED_PORT")),
                handoff: SocketAddrV4::new(Ipv4Addr::LOCALHOST, read.port("AGENT_HANDOFF_PORT")),
                aliases: read.aliases(),
                hint_way: read.choice(
                    "AGENT_HINT",
                    &[("auto", HintWay::Auto), ("metadata", HintWay::Metadata), ("source", HintWay::Source)],
                ),
                pin_dir: read
                    .optional("AGENT_PIN_DIR")
                    .unwrap_or_else(|| PathBuf::from(format!("/sys/fs/bpf/dfaas/{interface}"))),
                firewall: read.choice(
                    "AGENT_FIREWALL",
                    &[FirewallPolicy::Manage, FirewallPolicy::Check, FirewallPolicy::Off].map(|p| (p.name(), p)),
                ),
                nft: read.parse("AGENT_NFT_BINARY"),
                interface,
            },
            proxy: ProxyConfig {
                kind: read.choice("AGENT_PROXY", &[("managed", ProxyKind::Managed), ("external", ProxyKind::External)]),
                binary: read.parse("AGENT_HAPROXY_BINARY"),
                file: read.parse("AGENT_HAPROXY_CONFIG_FILE"),
                socket: read.parse("AGENT_HAPROXY_SOCKET"),
                reload_command: read.parse("AGENT_HAPROXY_RELOAD_COMMAND"),
                sticky: read.bool("AGENT_STICKY"),
            },
            platform: PlatformConfig {
                kind: read.choice("AGENT_PLATFORM", &platform::KINDS.map(|kind| (kind.name, kind))),
                gateway_host: read.parse("AGENT_OPENFAAS_HOST"),
                gateway_port: read.port("AGENT_OPENFAAS_PORT"),
                user: read.optional("AGENT_OPENFAAS_USER"),
                password: read.optional("AGENT_OPENFAAS_PASSWORD"),
                password_file: read.optional("AGENT_OPENFAAS_PASSWORD_FILE"),
                embedded_address: read.parse("AGENT_EMBEDDED_ADDRESS"),
                embedded_user: read.parse("AGENT_EMBEDDED_USER"),
                rate_limits: read.rate_limits(),
            },
            strategy: StrategyConfig {
                strategy: read.parse("AGENT_STRATEGY"),
                compat: read.bool("AGENT_COMPAT"),
                period: read.duration("AGENT_RECALC_PERIOD", Duration::from_secs(1)),
                rate_window: read.duration("AGENT_RATE_WINDOW", Duration::from_millis(100)),
                burst: read.duration("AGENT_BURST", Duration::ZERO),
                grant_lifetime: read.duration("AGENT_GRANT_LIFETIME", Duration::from_secs(1)),
            },
            planning: PlanningConfig::read(&mut read),
            http_address: read.parse("AGENT_HTTP_ADDRESS"),
            state_dir,
            run_dir,
            detach_on_exit: read.bool("AGENT_DETACH_ON_EXIT"),
        };
        read.unused();
        read.finish()?;
        Ok(config)
    }

    /// What peers must do to count.
    pub(crate) fn terms(&self) -> Terms {
        let strategy = &self.strategy;
        Terms { timeout: self.overlay.peer_timeout, period: strategy.period, strategy: strategy.strategy }
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
        assert!(resolved.unknown.is_empty(), "{:?}", resolved.unknown);
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
}
