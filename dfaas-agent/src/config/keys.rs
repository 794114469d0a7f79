//! The table of all settings. The original's keep their names and syntax.
//!
//! Each is a constant that carries the reader of its text, so a misspelt name does not compile. A new one is a line here and
//! a `read.get(&keys::NAME)?` where it is used; every text is checked by its reader before anything is built of it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use dfaas_common::settings::HintWay;
use libp2p::Multiaddr;

use super::{
    kinds::{ForecasterKind, ProxyKind},
    setting::{Key, Setting, key, live, secret, settings, unused},
    values::{
        anything, auto, boolean, duration, firewall, forecaster_kind, hint_way, list, network, node_type, optional,
        optional_duration, optional_port, pace, parsed, path, platform_kind, port, positive, proxy_kind, rate_limits,
        text, whole, xdp_place,
    },
};
use crate::{
    forecast::NodeType,
    mode::{FirewallPolicy, Mode, XdpPlace},
    name::{FunctionName, Host},
    platform::PlatformKind,
    strategy::{Strategy, rl_agent::Pace},
};

settings! {
    INTERFACE: String = text, key("AGENT_INTERFACE", "eth0", "NAME",
        "Network interface that clients and peers come in by");
    NODE_IP: Option<Host> = optional, key("AGENT_NODE_IP", "", "HOST",
        "Address announced to other nodes [default: the interface's first IPv4 address]");
    SERVICE_ADDRESS: Option<Ipv4Addr> = optional, key("AGENT_SERVICE_ADDRESS", "", "IPV4",
        "Address that clients call [default: the interface's]");
    SERVICE_PORT: u16 = port, key("AGENT_SERVICE_PORT", "80", "PORT", "Port that clients call");
    PEER_PORT: u16 = port, key("AGENT_PEER_PORT", "30080", "PORT",
        "Port announced to peers for calls that carry DFaaS-Node-ID");
    MODE: Option<Mode> = auto, key("AGENT_MODE", "auto", "auto|handoff|observe|off", "How much the kernel does");
    XDP: Option<XdpPlace> = xdp_place, key("AGENT_XDP", "auto", "auto|native|generic", "Where XDP runs");
    HINT: HintWay = hint_way, key("AGENT_HINT", "auto", "auto|metadata|source",
        "How XDP tells TC what it decided: beside the frame, or, where the driver cannot, in its source address");
    TUNNEL_ADDRESS: Option<Ipv4Addr> = optional, key("AGENT_TUNNEL_ADDRESS", "", "IPV4",
        "This node's end of the tunnel [default: the interface's address]");
    PLACED_PORT: u16 = port, key("AGENT_PLACED_PORT", "10080", "PORT",
        "HAProxy's loopback port for connections the kernel places here");
    HANDOFF_PORT: u16 = port, key("AGENT_HANDOFF_PORT", "10081", "PORT",
        "HAProxy's loopback port for connections handed off by peers");
    ALIAS_RANGE: (Ipv4Addr, u8) = network, key("AGENT_ALIAS_RANGE", "169.254.64.0/18", "NETWORK/LEN",
        "Addresses on lo that stand for peers");
    PIN_DIR: Option<PathBuf> = optional, key("AGENT_PIN_DIR", "", "DIR",
        "Where maps and links are pinned [default: /sys/fs/bpf/dfaas/<interface>]");
    FIREWALL: FirewallPolicy = firewall, key("AGENT_FIREWALL", "manage", "manage|check|off",
        "Whether the agent keeps placed connections out of the host's connection tracking by an nftables table of its \
         own, only says what is missing, or does not look");
    NFT_BINARY: PathBuf = path, key("AGENT_NFT_BINARY", "/usr/sbin/nft", "FILE", "The program of nftables");
    DETACH_ON_EXIT: bool = boolean, key("AGENT_DETACH_ON_EXIT", "false", "BOOL",
        "Take the kernel path away when the agent ends");
    LISTEN: Vec<Multiaddr> = list, key("AGENT_LISTEN", "/ip4/0.0.0.0/tcp/31600", "MULTIADDR,…",
        "Addresses of the overlay");
    PRIVATE_KEY_FILE: Option<PathBuf> = optional, key("AGENT_PRIVATE_KEY_FILE", "", "FILE",
        "Identity, Ed25519 in PKCS#8 PEM [default: <state dir>/privatekey.pem, made if missing]");
    BOOTSTRAP_NODES: bool = boolean, key("AGENT_BOOTSTRAP_NODES", "false", "BOOL", "Dial bootstrap nodes");
    PUBLIC_BOOTSTRAP_NODES: bool = boolean, key("AGENT_PUBLIC_BOOTSTRAP_NODES", "false", "BOOL",
        "Take the list of the public libp2p network instead of one's own");
    BOOTSTRAP_FORCE: bool = boolean, key("AGENT_BOOTSTRAP_FORCE", "false", "BOOL",
        "No effect, for the original's files: a start waits for no bootstrap node, and all are tried for ever");
    BOOTSTRAP_NODES_LIST: String = anything, key("AGENT_BOOTSTRAP_NODES_LIST", "", "MULTIADDR,…",
        "Bootstrap nodes, each ending in /p2p/<node id>");
    BOOTSTRAP_NODES_FILE: Option<PathBuf> = optional, key("AGENT_BOOTSTRAP_NODES_FILE", "", "FILE",
        "File with one bootstrap node per line, if the list is empty");
    RENDEZVOUS: String = text, key("AGENT_RENDEZVOUS", "dfaasagent-mYRGdJPC3chmJ", "TEXT",
        "Nodes with the same text find each other, by Kademlia and mDNS");
    KAD_ENABLED: bool = boolean, key("AGENT_KAD_ENABLED", "true", "BOOL",
        "Find nodes by Kademlia, through any node that is connected");
    MDNS_ENABLED: bool = boolean, key("AGENT_MDNS_ENABLED", "false", "BOOL", "Find nodes on the local network by mDNS");
    KAD_IDLE_TIME: Duration = duration::<0>, key("AGENT_KAD_IDLE_TIME", "1m", "DURATION",
        "Pause between searches for nodes");
    PEERS_FILE: Option<PathBuf> = optional, key("AGENT_PEERS_FILE", "", "FILE",
        "File with the ids of the nodes that may take part, one per line; read again on SIGHUP [default: all may]");
    FEDERATION_SECRET: Option<String> = optional, secret(key("AGENT_FEDERATION_SECRET", "", "TEXT",
        "What all nodes know that may take part, 16 bytes at least; nodes in AGENT_PEERS_FILE need not"));
    FEDERATION_SECRET_FILE: Option<PathBuf> = optional, key("AGENT_FEDERATION_SECRET_FILE", "", "FILE",
        "File with that secret");
    MAX_CONNECTIONS: u32 = whole::<1>, key("AGENT_MAX_CONNECTIONS", "512", "NUMBER",
        "Connections of the overlay at most");
    MESSAGE_RATE: f64 = positive, key("AGENT_MESSAGE_RATE", "10", "NUMBER",
        "Broadcasts per second taken from one node");
    PUBSUB_TOPIC: String = text, key("AGENT_PUBSUB_TOPIC", "/dfaasagent/1.0.0", "TOPIC", "Topic of the broadcasts");
    HEARTBEAT: Duration = duration::<50>, live(key("AGENT_HEARTBEAT", "1s", "DURATION",
        "How often a node's state is sent to each peer at least"));
    PEER_TIMEOUT: Duration = duration::<200>, live(key("AGENT_PEER_TIMEOUT", "3s", "DURATION",
        "Silence after which a peer gets no new connections"));
    STRATEGY: Strategy = parsed, live(key("AGENT_STRATEGY", "recalcstrategy",
        "recalcstrategy|nodemarginstrategy|staticstrategy|alllocalstrategy|rlagentstrategy",
        "How calls are distributed"));
    COMPAT: bool = boolean, live(key("AGENT_COMPAT", "false", "BOOL",
        "Whole numbers, equal parts and half-period steps as in the original, to compare with it"));
    NODE_TYPE: NodeType = node_type, live(key("AGENT_NODE_TYPE", "1", "0|1|2",
        "Size of this node for node margin: 0 heavy, 1 mid, 2 light"));
    NMS_CPU_THRESHOLD: f64 = positive, live(key("AGENT_NMS_CPU_THRESHOLD", "120.0", "PERCENT",
        "Percent of one core above which node margin relieves"));
    NMS_RAM_THRESHOLD: f64 = positive, live(key("AGENT_NMS_RAM_THRESHOLD", "5500000000.0", "BYTES",
        "The same for memory"));
    NMS_POWER_THRESHOLD: f64 = positive, live(key("AGENT_NMS_POWER_THRESHOLD", "2100000.0", "MICROWATTS",
        "The same for power"));
    GROUP_LIST_FILE_NAME: PathBuf = path, live(key("AGENT_GROUP_LIST_FILE_NAME", "./group_list.json", "FILE",
        "Groups of functions by use, for trained models; without the file those of the original"));
    FORECASTER: ForecasterKind = forecaster_kind, key("AGENT_FORECASTER", "measured", "measured|model|remote",
        "Who tells node margin what a load would use");
    FORECASTER_HOST: Host = parsed, key("AGENT_FORECASTER_HOST", "dfaas-forecaster", "HOST",
        "The original's forecaster service, for remote");
    FORECASTER_PORT: u16 = port, key("AGENT_FORECASTER_PORT", "80", "PORT", "Its port");
    FORECAST_MEMORY: u32 = whole::<10>, key("AGENT_FORECAST_MEMORY", "300", "SAMPLES",
        "Samples that measured remembers, one a second");
    MODELS_DIR: Option<PathBuf> = optional, key("AGENT_MODELS_DIR", "", "DIR",
        "LightGBM models and scalers, for model");
    FUNCTION_CGROUPS: PathBuf = path, key("AGENT_FUNCTION_CGROUPS", "/sys/fs/cgroup/openfaas-fn", "DIR",
        "Folder with a cgroup for each function");
    RLMODEL_HOST: Host = parsed, key("AGENT_RLMODEL_HOST", "localhost", "HOST", "Model that the RL agent asks");
    RLMODEL_PORT: u16 = port, key("AGENT_RLMODEL_PORT", "6666", "PORT", "Its port");
    RLMODEL_EXPLORE: bool = boolean, key("AGENT_RLMODEL_EXPLORE", "false", "BOOL", "Have the model explore");
    RLMODEL_PACE: Pace = pace, key("AGENT_RLMODEL_PACE", "periodic", "periodic|stages",
        "Ask it every period, or in stages of a load test");
    RECALC_PERIOD: Duration = duration::<1000>, live(key("AGENT_RECALC_PERIOD", "1s", "DURATION",
        "Period of the strategy and of the broadcasts, at least 1s"));
    RATE_WINDOW: Duration = duration::<100>, live(key("AGENT_RATE_WINDOW", "1s", "DURATION",
        "Time over which rates are averaged"));
    BURST: Duration = duration::<0>, key("AGENT_BURST", "500ms", "DURATION",
        "Calls of this much time at the full rate may come at once (20ms at least)");
    GRANT_LIFETIME: Duration = duration::<1000>, key("AGENT_GRANT_LIFETIME", "30s", "DURATION",
        "What a peer granted lapses after this time without a word from this agent");
    PLATFORM: &'static PlatformKind = platform_kind, key("AGENT_PLATFORM", "openfaas", "openfaas|embedded",
        "What runs the functions");
    OPENFAAS_HOST: Host = parsed, key("AGENT_OPENFAAS_HOST", "127.0.0.1", "HOST", "Gateway of OpenFaaS or faasd");
    OPENFAAS_PORT: u16 = port, key("AGENT_OPENFAAS_PORT", "8080", "PORT", "Its port");
    OPENFAAS_USER: Option<String> = optional, key("AGENT_OPENFAAS_USER", "", "NAME", "User for its API");
    OPENFAAS_PASSWORD: Option<String> = optional, secret(key("AGENT_OPENFAAS_PASSWORD", "", "TEXT",
        "Password for its API"));
    OPENFAAS_PASSWORD_FILE: Option<PathBuf> = optional, key("AGENT_OPENFAAS_PASSWORD_FILE", "", "FILE",
        "File with that password");
    EMBEDDED_ADDRESS: SocketAddr = parsed, key("AGENT_EMBEDDED_ADDRESS", "127.0.0.1:8080", "ADDRESS:PORT",
        "Loopback address of the embedded platform's gateway");
    EMBEDDED_USER: String = text, key("AGENT_EMBEDDED_USER", "dynamic", "NAME",
        "User that functions of the embedded platform run as, if the agent is root; dynamic: another one for each call; \
         root: no other user");
    EMBEDDED_FOLDERS: Vec<PathBuf> = list, key("AGENT_EMBEDDED_FOLDERS", "", "DIR,…",
        "Folders that functions of the embedded platform may read, beside those of the system and of their programs");
    RATE_LIMITS: BTreeMap<FunctionName, u32> = rate_limits, key("AGENT_RATE_LIMITS", "", "FUNCTION=RATE,…",
        "Calls per second, instead of the label dfaas.maxrate");
    PROXY: ProxyKind = proxy_kind, key("AGENT_PROXY", "managed", "managed|external",
        "Whether the agent runs HAProxy or the system does");
    HAPROXY_BINARY: PathBuf = path, key("AGENT_HAPROXY_BINARY", "/usr/sbin/haproxy", "FILE", "HAProxy");
    HAPROXY_CONFIG_FILE: PathBuf = path, key("AGENT_HAPROXY_CONFIG_FILE", "/etc/haproxy/haproxy.cfg", "FILE",
        "Of an external HAProxy: the file to write");
    HAPROXY_SOCKET: PathBuf = path, key("AGENT_HAPROXY_SOCKET", "/run/haproxy/admin.sock", "FILE",
        "Of an external HAProxy: its runtime socket");
    HAPROXY_RELOAD_COMMAND: String = text, key("AGENT_HAPROXY_RELOAD_COMMAND", "systemctl reload haproxy", "COMMAND",
        "Of an external HAProxy: how to reload it");
    STICKY: bool = boolean, key("AGENT_STICKY", "false", "BOOL",
        "Leave connections that peers hand off open after an answer");
    HTTP_ADDRESS: SocketAddr = parsed, key("AGENT_HTTP_ADDRESS", "127.0.0.1:8090", "ADDRESS:PORT",
        "Health, metrics and status of the agent");
    STATE_DIR: PathBuf = path, key("AGENT_STATE_DIR", "/var/lib/dfaas", "DIR", "What must survive a reboot");
    RUN_DIR: PathBuf = path, key("AGENT_RUN_DIR", "/run/dfaas", "DIR", "Sockets and generated files");
    DEBUG: bool = boolean, key("AGENT_DEBUG", "false", "BOOL", "Log more");
    LOG_DATETIME: bool = boolean, key("AGENT_LOG_DATETIME", "true", "BOOL", "Log the time");
    LOG_COLORS: bool = boolean, key("AGENT_LOG_COLORS", "false", "BOOL", "Colour the log");
    HAPROXY_HOST: Option<Host> = optional, unused("AGENT_HAPROXY_HOST", "HOST");
    HAPROXY_PORT: Option<u16> = optional_port, unused("AGENT_HAPROXY_PORT", "PORT");
    DATAPLANEAPI_HOST: Option<Host> = optional, unused("AGENT_DATAPLANEAPI_HOST", "HOST");
    DATAPLANEAPI_PORT: Option<u16> = optional_port, unused("AGENT_DATAPLANEAPI_PORT", "PORT");
    DATAPLANEAPI_USER: Option<String> = optional, unused("AGENT_DATAPLANEAPI_USER", "NAME");
    DATAPLANEAPI_PASSWORD: Option<String> = optional, secret(unused("AGENT_DATAPLANEAPI_PASSWORD", "TEXT"));
    RUNTIMEAPI_HOST: Option<Host> = optional, unused("AGENT_RUNTIMEAPI_HOST", "HOST");
    RUNTIMEAPI_PORT: Option<u16> = optional_port, unused("AGENT_RUNTIMEAPI_PORT", "PORT");
    REJECTOR_HOST: Option<Host> = optional, unused("AGENT_REJECTOR_HOST", "HOST");
    REJECTOR_PORT: Option<u16> = optional_port, unused("AGENT_REJECTOR_PORT", "PORT");
    PROMETHEUS_HOST: Option<Host> = optional, unused("AGENT_PROMETHEUS_HOST", "HOST");
    PROMETHEUS_PORT: Option<u16> = optional_port, unused("AGENT_PROMETHEUS_PORT", "PORT");
    PROMETHEUS_STEP: Option<Duration> = optional_duration, unused("AGENT_PROMETHEUS_STEP", "DURATION");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_those_of_their_constants() {
        for (i, key) in KEYS.iter().enumerate() {
            assert_eq!(key.name, format!("AGENT_{}", NAMES[i]));
            assert!(!key.help.is_empty() && !key.value.is_empty());
            assert!(KEYS[..i].iter().all(|other| other.name != key.name), "{} twice", key.name);
        }
        assert_eq!(NODE_IP.key.flag(), "node-ip");
    }

    #[test]
    fn every_default_is_a_value() {
        for key in KEYS {
            assert_eq!((key.check)(key.default), Ok(()), "{}", key.name);
        }
    }
}
