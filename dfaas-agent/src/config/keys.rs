//! The names of all settings. The original's keep their names and syntax.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    /// Empty: none.
    pub default: &'static str,
    /// What a value looks like.
    pub value: &'static str,
    pub help: &'static str,
    /// Never shown.
    pub secret: bool,
    /// Taken over by a running agent on SIGHUP.
    pub live: bool,
}

impl Key {
    /// `AGENT_NODE_IP` is `--node-ip`.
    pub(crate) fn flag(&self) -> String {
        self.name.trim_start_matches("AGENT_").to_lowercase().replace('_', "-")
    }
}

const fn key(name: &'static str, default: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, default, value, help, secret: false, live: false }
}

const fn secret(name: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, default: "", value, help, secret: true, live: false }
}

const fn live(key: Key) -> Key {
    Key { live: true, ..key }
}

/// One of the original's that means nothing here: it is accepted, so that its settings files are, and its syntax is checked.
const fn unused(name: &'static str, value: &'static str) -> Key {
    key(name, "", value, UNUSED)
}

/// The help of such a setting.
pub(crate) const UNUSED: &str = "Accepted from settings of the original; has no effect here";

pub(crate) const KEYS: &[Key] = &[
    key("AGENT_INTERFACE", "eth0", "NAME", "Network interface that clients and peers come in by"),
    key("AGENT_NODE_IP", "", "HOST", "Address announced to other nodes [default: the interface's first IPv4 address]"),
    key("AGENT_SERVICE_ADDRESS", "", "IPV4", "Address that clients call [default: the interface's]"),
    key("AGENT_SERVICE_PORT", "80", "PORT", "Port that clients call"),
    key("AGENT_PEER_PORT", "30080", "PORT", "Port announced to peers for calls that carry DFaaS-Node-ID"),
    key("AGENT_MODE", "auto", "auto|handoff|observe|off", "How much the kernel does"),
    key("AGENT_XDP", "auto", "auto|native|generic", "Where XDP runs"),
    key(
        "AGENT_HINT",
        "auto",
        "auto|metadata|source",
        "How XDP tells TC what it decided: beside the frame, or, where the driver cannot, in its source address",
    ),
    key("AGENT_TUNNEL_ADDRESS", "", "IPV4", "This node's end of the tunnel [default: the interface's address]"),
    key("AGENT_PLACED_PORT", "10080", "PORT", "HAProxy's loopback port for connections the kernel places here"),
    key("AGENT_HANDOFF_PORT", "10081", "PORT", "HAProxy's loopback port for connections handed off by peers"),
    key("AGENT_ALIAS_RANGE", "169.254.64.0/18", "NETWORK/LEN", "Addresses on lo that stand for peers"),
    key("AGENT_PIN_DIR", "", "DIR", "Where maps and links are pinned [default: /sys/fs/bpf/dfaas/<interface>]"),
    key(
        "AGENT_FIREWALL",
        "manage",
        "manage|check|off",
        "Whether the agent keeps placed connections out of the host's connection tracking by an nftables table of its own, \
         only says what is missing, or does not look",
    ),
    key("AGENT_NFT_BINARY", "/usr/sbin/nft", "FILE", "The program of nftables"),
    key("AGENT_DETACH_ON_EXIT", "false", "BOOL", "Take the kernel path away when the agent ends"),
    key("AGENT_LISTEN", "/ip4/0.0.0.0/tcp/31600", "MULTIADDR,…", "Addresses of the overlay"),
    key(
        "AGENT_PRIVATE_KEY_FILE",
        "",
        "FILE",
        "Identity, Ed25519 in PKCS#8 PEM [default: <state dir>/privatekey.pem, made if missing]",
    ),
    key("AGENT_BOOTSTRAP_NODES", "false", "BOOL", "Dial bootstrap nodes"),
    key(
        "AGENT_PUBLIC_BOOTSTRAP_NODES",
        "false",
        "BOOL",
        "Take the list of the public libp2p network instead of one's own",
    ),
    key(
        "AGENT_BOOTSTRAP_FORCE",
        "false",
        "BOOL",
        "No effect, for the original's files: a start waits for no bootstrap node, and all are tried for ever",
    ),
    key("AGENT_BOOTSTRAP_NODES_LIST", "", "MULTIADDR,…", "Bootstrap nodes, each ending in /p2p/<node id>"),
    key("AGENT_BOOTSTRAP_NODES_FILE", "", "FILE", "File with one bootstrap node per line, if the list is empty"),
    key(
        "AGENT_RENDEZVOUS",
        "dfaasagent-mYRGdJPC3chmJ",
        "TEXT",
        "Nodes with the same text find each other, by Kademlia and mDNS",
    ),
    key("AGENT_KAD_ENABLED", "true", "BOOL", "Find nodes by Kademlia, through any node that is connected"),
    key("AGENT_MDNS_ENABLED", "false", "BOOL", "Find nodes on the local network by mDNS"),
    key("AGENT_KAD_IDLE_TIME", "1m", "DURATION", "Pause between searches for nodes"),
    key(
        "AGENT_PEERS_FILE",
        "",
        "FILE",
        "File with the ids of the nodes that may take part, one per line; read again on SIGHUP [default: all may]",
    ),
    key("AGENT_MAX_CONNECTIONS", "512", "NUMBER", "Connections of the overlay at most"),
    key("AGENT_MESSAGE_RATE", "10", "NUMBER", "Broadcasts per second taken from one node"),
    key("AGENT_PUBSUB_TOPIC", "/dfaasagent/1.0.0", "TOPIC", "Topic of the broadcasts"),
    live(key("AGENT_HEARTBEAT", "1s", "DURATION", "How often a node's state is sent to each peer at least")),
    live(key("AGENT_PEER_TIMEOUT", "3s", "DURATION", "Silence after which a peer gets no new connections")),
    live(key(
        "AGENT_STRATEGY",
        "recalcstrategy",
        "recalcstrategy|nodemarginstrategy|staticstrategy|alllocalstrategy|rlagentstrategy",
        "How calls are distributed",
    )),
    live(key(
        "AGENT_COMPAT",
        "false",
        "BOOL",
        "Whole numbers, equal parts and half-period steps as in the original, to compare with it",
    )),
    live(key("AGENT_NODE_TYPE", "1", "0|1|2", "Size of this node for node margin: 0 heavy, 1 mid, 2 light")),
    live(key("AGENT_NMS_CPU_THRESHOLD", "120.0", "PERCENT", "Percent of one core above which node margin relieves")),
    live(key("AGENT_NMS_RAM_THRESHOLD", "5500000000.0", "BYTES", "The same for memory")),
    live(key("AGENT_NMS_POWER_THRESHOLD", "2100000.0", "MICROWATTS", "The same for power")),
    live(key(
        "AGENT_GROUP_LIST_FILE_NAME",
        "./group_list.json",
        "FILE",
        "Groups of functions by use, for trained models; without the file those of the original",
    )),
    key("AGENT_FORECASTER", "measured", "measured|model|remote", "Who tells node margin what a load would use"),
    key("AGENT_FORECASTER_HOST", "dfaas-forecaster", "HOST", "The original's forecaster service, for remote"),
    key("AGENT_FORECASTER_PORT", "80", "PORT", "Its port"),
    key("AGENT_FORECAST_MEMORY", "300", "SAMPLES", "Samples that measured remembers, one a second"),
    key("AGENT_MODELS_DIR", "", "DIR", "LightGBM models and scalers, for model"),
    key("AGENT_FUNCTION_CGROUPS", "/sys/fs/cgroup/openfaas-fn", "DIR", "Folder with a cgroup for each function"),
    key("AGENT_RLMODEL_HOST", "localhost", "HOST", "Model that the RL agent asks"),
    key("AGENT_RLMODEL_PORT", "6666", "PORT", "Its port"),
    key("AGENT_RLMODEL_EXPLORE", "false", "BOOL", "Have the model explore"),
    key("AGENT_RLMODEL_PACE", "periodic", "periodic|stages", "Ask it every period, or in stages of a load test"),
    live(key("AGENT_RECALC_PERIOD", "1s", "DURATION", "Period of the strategy and of the broadcasts, at least 1s")),
    live(key("AGENT_RATE_WINDOW", "1s", "DURATION", "Time over which rates are averaged")),
    key(
        "AGENT_BURST",
        "500ms",
        "DURATION",
        "Calls of this much time at the full rate may come at once (20ms at least)",
    ),
    key(
        "AGENT_GRANT_LIFETIME",
        "30s",
        "DURATION",
        "What a peer granted lapses after this time without a word from this agent",
    ),
    key("AGENT_PLATFORM", "openfaas", "openfaas|embedded", "What runs the functions"),
    key("AGENT_OPENFAAS_HOST", "127.0.0.1", "HOST", "Gateway of OpenFaaS or faasd"),
    key("AGENT_OPENFAAS_PORT", "8080", "PORT", "Its port"),
    key("AGENT_OPENFAAS_USER", "", "NAME", "User for its API"),
    secret("AGENT_OPENFAAS_PASSWORD", "TEXT", "Password for its API"),
    key("AGENT_OPENFAAS_PASSWORD_FILE", "", "FILE", "File with that password"),
    key(
        "AGENT_EMBEDDED_ADDRESS",
        "127.0.0.1:8080",
        "ADDRESS:PORT",
        "Loopback address of the embedded platform's gateway",
    ),
    key(
        "AGENT_EMBEDDED_USER",
        "nobody",
        "NAME",
        "User that functions of the embedded platform run as, if the agent is root; root: no other user",
    ),
    key("AGENT_RATE_LIMITS", "", "FUNCTION=RATE,…", "Calls per second, instead of the label dfaas.maxrate"),
    key("AGENT_PROXY", "managed", "managed|external", "Whether the agent runs HAProxy or the system does"),
    key("AGENT_HAPROXY_BINARY", "/usr/sbin/haproxy", "FILE", "HAProxy"),
    key("AGENT_HAPROXY_CONFIG_FILE", "/etc/haproxy/haproxy.cfg", "FILE", "Of an external HAProxy: the file to write"),
    key("AGENT_HAPROXY_SOCKET", "/run/haproxy/admin.sock", "FILE", "Of an external HAProxy: its runtime socket"),
    key(
        "AGENT_HAPROXY_RELOAD_COMMAND",
        "systemctl reload haproxy",
        "COMMAND",
        "Of an external HAProxy: how to reload it",
    ),
    key("AGENT_STICKY", "false", "BOOL", "Leave connections that peers hand off open after an answer"),
    key("AGENT_HTTP_ADDRESS", "127.0.0.1:8090", "ADDRESS:PORT", "Health, metrics and status of the agent"),
    key("AGENT_STATE_DIR", "/var/lib/dfaas", "DIR", "What must survive a reboot"),
    key("AGENT_RUN_DIR", "/run/dfaas", "DIR", "Sockets and generated files"),
    key("AGENT_DEBUG", "false", "BOOL", "Log more"),
    key("AGENT_LOG_DATETIME", "true", "BOOL", "Log the time"),
    key("AGENT_LOG_COLORS", "false", "BOOL", "Colour the log"),
    unused("AGENT_HAPROXY_HOST", "HOST"),
    unused("AGENT_HAPROXY_PORT", "PORT"),
    unused("AGENT_DATAPLANEAPI_HOST", "HOST"),
    unused("AGENT_DATAPLANEAPI_PORT", "PORT"),
    unused("AGENT_DATAPLANEAPI_USER", "NAME"),
    Key { secret: true, ..unused("AGENT_DATAPLANEAPI_PASSWORD", "TEXT") },
    unused("AGENT_RUNTIMEAPI_HOST", "HOST"),
    unused("AGENT_RUNTIMEAPI_PORT", "PORT"),
    unused("AGENT_REJECTOR_HOST", "HOST"),
    unused("AGENT_REJECTOR_PORT", "PORT"),
    unused("AGENT_PROMETHEUS_HOST", "HOST"),
    unused("AGENT_PROMETHEUS_PORT", "PORT"),
    unused("AGENT_PROMETHEUS_STEP", "DURATION"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        for (i, key) in KEYS.iter().enumerate() {
            assert!(key.name.starts_with("AGENT_") && !key.help.is_empty() && !key.value.is_empty());
            assert!(KEYS[..i].iter().all(|other| other.name != key.name), "{} twice", key.name);
        }
        assert_eq!(KEYS[1].flag(), "node-ip");
    }
}
