//! Settings of the overlay: where it listens, whom it finds, who may take part.

use std::{path::PathBuf, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};

use super::values::Reader;

/// The list of the public libp2p network, for `AGENT_PUBLIC_BOOTSTRAP_NODES`.
const PUBLIC: [&str; 5] = [
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAWe3N8SzbUtfsmvsqQLuvuJ",
];

#[derive(Clone, Debug)]
pub(crate) struct OverlayConfig {
    pub listen: Vec<Multiaddr>,
    pub private_key_file: PathBuf,
    pub bootstrap: Vec<Multiaddr>,
    pub topic: String,
    pub rendezvous: String,
    pub dht: bool,
    pub mdns: bool,
    /// Between two searches for nodes.
    pub search_pause: Duration,
    /// The file that says who may take part, read at the start and at every reload; `None`: everybody may.
    pub members_file: Option<PathBuf>,
    pub max_connections: u32,
    /// Broadcasts per second taken from one author.
    pub message_rate: f64,
    pub heartbeat: Duration,
    pub peer_timeout: Duration,
}

impl OverlayConfig {
    pub(super) fn read(read: &mut Reader<'_>, default_key_file: PathBuf) -> Self {
        // Accepted because the original has it: here a start never waits for bootstrap nodes.
        let _ = read.bool("AGENT_BOOTSTRAP_FORCE");
        let search_pause = read.duration("AGENT_KAD_IDLE_TIME", Duration::ZERO);
        Self {
            listen: read.list("AGENT_LISTEN"),
            private_key_file: read.optional("AGENT_PRIVATE_KEY_FILE").unwrap_or(default_key_file),
            bootstrap: read.bootstrap(),
            topic: read.parse("AGENT_PUBSUB_TOPIC"),
            rendezvous: read.parse("AGENT_RENDEZVOUS"),
            dht: read.bool("AGENT_KAD_ENABLED"),
            mdns: read.bool("AGENT_MDNS_ENABLED"),
            // 0 is a minute, as in the original; less than a second helps nobody.
            search_pause: match search_pause {
                Duration::ZERO => Duration::from_mins(1),
                pause => pause.max(Duration::from_secs(1)),
            },
            members_file: read.optional("AGENT_PEERS_FILE"),
            max_connections: read.whole("AGENT_MAX_CONNECTIONS", 1),
            message_rate: read.positive("AGENT_MESSAGE_RATE"),
            heartbeat: read.duration("AGENT_HEARTBEAT", Duration::from_millis(50)),
            peer_timeout: read.duration("AGENT_PEER_TIMEOUT", Duration::from_millis(200)),
        }
    }
}

impl Reader<'_> {
    /// Bootstrap nodes by the original's rules.
    fn bootstrap(&mut self) -> Vec<Multiaddr> {
        let public = self.bool("AGENT_PUBLIC_BOOTSTRAP_NODES");
        if !self.bool("AGENT_BOOTSTRAP_NODES") {
            return Vec::new();
        }
        if public {
            return PUBLIC.iter().filter_map(|address| address.parse().ok()).collect();
        }
        let mut name = "AGENT_BOOTSTRAP_NODES_LIST";
        let mut addresses: Vec<Multiaddr> = self.list(name);
        if addresses.is_empty() && self.text(name).is_empty() {
            name = "AGENT_BOOTSTRAP_NODES_FILE";
            match std::fs::read_to_string(self.text(name)) {
                Ok(text) => {
                    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                        match line.parse() {
                            Ok(address) => addresses.push(address),
                            Err(e) => self.wrong(name, format!("{line:?}: {e}")),
                        }
                    }
                }
                Err(e) => {
                    self.wrong(name, format!("bootstrap nodes are wanted, but there is no list, and the file: {e}"));
                }
            }
        }
        for address in &addresses {
            if !matches!(address.iter().last(), Some(Protocol::P2p(_))) {
                self.wrong(name, format!("{address}: expected it to end in /p2p/<node id>"));
            }
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{InvalidConfig, sources::Resolved};

    fn config(pairs: &[(&str, &str)]) -> Result<OverlayConfig, InvalidConfig> {
        let file = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let resolved = Resolved::new(&BTreeMap::new(), |_| None, &file);
        let mut read = Reader::new(&resolved);
        let config = OverlayConfig::read(&mut read, PathBuf::from("key.pem"));
        read.finish().map(|()| config)
    }

    #[test]
    fn the_defaults_are_those_of_the_original() {
        let config = config(&[]).unwrap();
        assert_eq!(config.rendezvous, crate::p2p::DEFAULT_RENDEZVOUS);
        assert_eq!(config.topic, crate::p2p::DEFAULT_TOPIC);
        assert_eq!(config.search_pause, Duration::from_mins(1));
        assert!(config.dht && config.bootstrap.is_empty());
    }

    #[test]
    fn the_public_list_wins_over_the_own_one_but_only_if_bootstrap_nodes_are_wanted() {
        let list = ("AGENT_BOOTSTRAP_NODES_LIST", "/ip4/10.0.0.1/tcp/31600");
        let public = ("AGENT_PUBLIC_BOOTSTRAP_NODES", "true");
        assert_eq!(config(&[("AGENT_BOOTSTRAP_NODES", "1"), public, list]).unwrap().bootstrap.len(), PUBLIC.len());
        assert!(config(&[public, list]).unwrap().bootstrap.is_empty());
        assert!(config(&[("AGENT_BOOTSTRAP_NODES", "1"), list]).is_err());
    }

    #[test]
    fn no_pause_between_searches_is_a_minute_and_force_is_accepted() {
        let config = config(&[("AGENT_KAD_IDLE_TIME", "0s"), ("AGENT_BOOTSTRAP_FORCE", "true")]).unwrap();
        assert_eq!(config.search_pause, Duration::from_mins(1));
    }
}
