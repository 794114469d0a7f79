//! Settings of the overlay: where it listens, whom it finds, who may take part.

use std::{path::PathBuf, time::Duration};

use libp2p::Multiaddr;

use super::{
    keys,
    reader::Reader,
    values::{node, nodes},
};

use crate::p2p::Secret;

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
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) private_key_file: PathBuf,
    pub(crate) bootstrap: Vec<Multiaddr>,
    pub(crate) topic: String,
    pub(crate) rendezvous: String,
    pub(crate) dht: bool,
    pub(crate) mdns: bool,
    /// Between two searches for nodes.
    pub(crate) search_pause: Duration,
    /// The file that says who may take part, read at the start and at every reload; `None`: everybody may.
    pub(crate) members_file: Option<PathBuf>,
    /// What all know that may take part; `None`: nothing.
    pub(crate) secret: Option<Secret>,
    pub(crate) max_connections: u32,
    /// Broadcasts per second taken from one author.
    pub(crate) message_rate: f64,
    pub(crate) heartbeat: Duration,
    pub(crate) peer_timeout: Duration,
}

impl OverlayConfig {
    /// `None`: something is wrong, and noted.
    pub(super) fn read(read: &mut Reader<'_>) -> Option<Self> {
        let (bootstrap, secret) = (bootstrap(read), secret(read));
        Some(Self {
            secret: secret?,
            listen: read.get(&keys::LISTEN)?,
            private_key_file: read
                .get(&keys::PRIVATE_KEY_FILE)?
                .unwrap_or(read.get(&keys::STATE_DIR)?.join("privatekey.pem")),
            bootstrap: bootstrap?,
            topic: read.get(&keys::PUBSUB_TOPIC)?,
            rendezvous: read.get(&keys::RENDEZVOUS)?,
            dht: read.get(&keys::KAD_ENABLED)?,
            mdns: read.get(&keys::MDNS_ENABLED)?,
            // 0 is a minute, as in the original; less than a second helps nobody.
            search_pause: match read.get(&keys::KAD_IDLE_TIME)? {
                Duration::ZERO => Duration::from_mins(1),
                pause => pause.max(Duration::from_secs(1)),
            },
            members_file: read.get(&keys::PEERS_FILE)?,
            max_connections: read.get(&keys::MAX_CONNECTIONS)?,
            message_rate: read.get(&keys::MESSAGE_RATE)?,
            heartbeat: read.get(&keys::HEARTBEAT)?,
            peer_timeout: read.get(&keys::PEER_TIMEOUT)?,
        })
    }
}

/// The federation's secret, itself or from a file.
#[allow(clippy::option_option, reason = "as of every reader: the outer one is a setting that is wrong, and noted")]
fn secret(read: &mut Reader<'_>) -> Option<Option<Secret>> {
    let (text, file) = (read.get(&keys::FEDERATION_SECRET)?, read.get(&keys::FEDERATION_SECRET_FILE)?);
    let (key, text) = match (text, file) {
        (Some(_), Some(_)) => {
            let why = "given as well as AGENT_FEDERATION_SECRET_FILE, expected one of them";
            read.wrong(&keys::FEDERATION_SECRET.key, why);
            return None;
        }
        (None, None) => return Some(None),
        (Some(text), None) => (&keys::FEDERATION_SECRET.key, Ok(text)),
        (None, Some(file)) => (&keys::FEDERATION_SECRET_FILE.key, std::fs::read_to_string(file)),
    };
    let secret = text.map_err(|e| e.to_string()).and_then(|text| Secret::new(&text).map_err(|e| e.to_string()));
    secret.map_err(|why| read.wrong(key, why)).ok().map(Some)
}

/// Bootstrap nodes by the original's rules.
fn bootstrap(read: &mut Reader<'_>) -> Option<Vec<Multiaddr>> {
    if !read.get(&keys::BOOTSTRAP_NODES)? {
        if read.is_given(&keys::BOOTSTRAP_NODES_LIST) || read.is_given(&keys::BOOTSTRAP_NODES_FILE) {
            read.remarks
                .push("bootstrap nodes are given, but not dialled: AGENT_BOOTSTRAP_NODES is not true".to_owned());
        }
        return Some(Vec::new());
    }
    if read.get(&keys::PUBLIC_BOOTSTRAP_NODES)? {
        return Some(PUBLIC.iter().filter_map(|address| address.parse().ok()).collect());
    }
    let list = &keys::BOOTSTRAP_NODES_LIST;
    if !read.is_given(list) {
        return from_file(read);
    }
    let found = nodes(&read.get(list)?);
    found.map_err(|why| read.wrong(&list.key, why)).ok()
}

fn from_file(read: &mut Reader<'_>) -> Option<Vec<Multiaddr>> {
    let setting = &keys::BOOTSTRAP_NODES_FILE;
    let Some(file) = read.get(setting)? else {
        read.wrong(&setting.key, "not given, expected a file, because bootstrap nodes are wanted and there is no list");
        return None;
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => {
            read.wrong(&setting.key, format!("{e}, expected a file, because bootstrap nodes are wanted"));
            return None;
        }
    };
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let mut addresses = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        match node(line) {
            Ok(address) => addresses.push(address),
            Err(e) => read.wrong(&setting.key, format!("line {number}: {e}")),
        }
    }
    Some(addresses)
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
        let config = OverlayConfig::read(&mut read);
        read.finish(config)
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

    #[test]
    fn a_secret_is_given_once_and_is_not_short() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let text = ("AGENT_FEDERATION_SECRET", "0123456789abcdef");
        let file = ("AGENT_FEDERATION_SECRET_FILE", file.to_str().unwrap());
        assert!(config(&[]).unwrap().secret.is_none());
        assert!(config(&[text]).unwrap().secret.is_some() && config(&[file]).unwrap().secret.is_some());
        let wrong = |pairs: &[(&str, &str)]| config(pairs).unwrap_err().to_string();
        let short = wrong(&[("AGENT_FEDERATION_SECRET", "short one")]);
        assert!(short.contains("9 bytes") && !short.contains("short one"), "{short}");
        assert!(wrong(&[text, file]).contains("expected one of them"));
        assert!(wrong(&[("AGENT_FEDERATION_SECRET_FILE", "/nowhere")]).contains("AGENT_FEDERATION_SECRET_FILE"));
    }
}
