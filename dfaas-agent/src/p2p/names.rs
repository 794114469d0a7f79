//! Names in bootstrap addresses: `/dns…` and `/dnsaddr` become IP addresses before a dial.
//!
//! Not left to the transport: it would not tell which address a connection goes to, and would read the system's
//! settings only once.

use std::{collections::BTreeSet, future::Future, net::IpAddr, time::Duration};

use hickory_resolver::{TokioResolver, proto::rr::RData};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::time::timeout;

use super::address::{MAX_ADDRESSES, split_peer, tcp};

/// All lookups for one peer together.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// A `/dnsaddr` may name others; a loop of them ends here.
const MAX_LOOKUPS: usize = 16;

/// Where names are looked up.
pub(super) trait Names: Sync {
    fn addresses(&self, name: &str) -> impl Future<Output = anyhow::Result<Vec<IpAddr>>> + Send;
    fn texts(&self, name: &str) -> impl Future<Output = anyhow::Result<Vec<String>>> + Send;
}

/// True if the address starts with a name.
pub(super) fn is_named(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Dnsaddr};
    matches!(address.iter().next(), Some(Dns(_) | Dns4(_) | Dns6(_) | Dnsaddr(_)))
}

/// The addresses of `peer`, those with names replaced by what `names` says. Those not found are left out.
pub(super) async fn resolve(peer: PeerId, addresses: Vec<Multiaddr>, names: &impl Names) -> Vec<Multiaddr> {
    let mut found = vec![];
    if timeout(LOOKUP_TIMEOUT, look_up(peer, addresses, names, &mut found)).await.is_err() {
        tracing::debug!(%peer, "names not looked up within {LOOKUP_TIMEOUT:?}");
    }
    found
}

async fn look_up(peer: PeerId, addresses: Vec<Multiaddr>, names: &impl Names, found: &mut Vec<Multiaddr>) {
    let mut todo: Vec<Multiaddr> = addresses.into_iter().rev().collect();
    let mut asked = BTreeSet::new();
    while let Some(address) = todo.pop() {
        if !is_named(&address) {
            if found.len() < MAX_ADDRESSES && !found.contains(&address) {
                found.push(address);
            }
        } else if asked.len() < MAX_LOOKUPS && asked.insert(address.clone()) {
            match step(peer, &address, names).await {
                Ok(addresses) => todo.extend(addresses.into_iter().rev()),
                Err(error) => tracing::debug!(%peer, %address, "name not found: {error:#}"),
            }
        }
    }
}

/// What one address with a name stands for.
async fn step(peer: PeerId, address: &Multiaddr, names: &impl Names) -> anyhow::Result<Vec<Multiaddr>> {
    let wanted: fn(&IpAddr) -> bool = match address.iter().next() {
        Some(Protocol::Dnsaddr(name)) => {
            let texts = names.texts(&format!("_dnsaddr.{name}")).await?;
            return Ok(texts.iter().filter_map(|text| of_text(peer, text)).collect());
        }
        Some(Protocol::Dns4(_)) => IpAddr::is_ipv4,
        Some(Protocol::Dns6(_)) => IpAddr::is_ipv6,
        _ => |_| true,
    };
    let Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) = address.iter().next() else {
        return Ok(vec![]);
    };
    let ips = names.addresses(&name).await?.into_iter().filter(wanted);
    let with = |ip: IpAddr| Multiaddr::from(ip).into_iter().chain(address.iter().skip(1)).collect();
    Ok(ips.map(with).collect())
}

/// A line of a `/dnsaddr`: TCP addresses of the peer, or a further name.
fn of_text(peer: PeerId, text: &str) -> Option<Multiaddr> {
    let address: Multiaddr = text.strip_prefix("dnsaddr=")?.parse().ok()?;
    let bare = match split_peer(&address) {
        Some((named, bare)) => (named == peer).then_some(bare)?,
        None => address,
    };
    (is_named(&bare) || (tcp(&bare).is_some() && bare.iter().count() == 2)).then_some(bare)
}

/// The system's resolver; its settings are read anew for each peer.
pub(super) struct SystemNames;

impl SystemNames {
    fn resolver() -> anyhow::Result<TokioResolver> {
        Ok(TokioResolver::builder_tokio()?.build()?)
    }
}

impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> anyhow::Result<Vec<IpAddr>> {
        Ok(Self::resolver()?.lookup_ip(name).await?.iter().collect())
    }

    async fn texts(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let found = Self::resolver()?.txt_lookup(name).await?;
        let text = |data: &RData| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        };
        Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Fixed(BTreeMap<&'static str, Vec<String>>);

    impl Names for Fixed {
        async fn addresses(&self, name: &str) -> anyhow::Result<Vec<IpAddr>> {
            Ok(self.texts(name).await?.iter().map(|text| text.parse().unwrap()).collect())
        }

        async fn texts(&self, name: &str) -> anyhow::Result<Vec<String>> {
            self.0.get(name).cloned().ok_or_else(|| anyhow::anyhow!("no such name"))
        }
    }

    async fn resolved(peer: PeerId, addresses: &[&str], names: &Fixed) -> Vec<String> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        resolve(peer, addresses, names).await.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn names_become_addresses_of_the_wanted_family_and_others_stay() {
        let names = Fixed([("node.example", vec!["192.0.2.1".into(), "2001:db8::1".into()])].into());
        let peer = PeerId::random();
        let four = resolved(peer, &["/dns4/node.example/tcp/1", "/ip4/10.0.0.1/tcp/2"], &names).await;
        assert_eq!(four, ["/ip4/192.0.2.1/tcp/1", "/ip4/10.0.0.1/tcp/2"]);
        assert_eq!(resolved(peer, &["/dns6/node.example/tcp/1"], &names).await, ["/ip6/2001:db8::1/tcp/1"]);
        let both = resolved(peer, &["/dns/node.example/tcp/1", "/dns4/missing.example/tcp/1"], &names).await;
        assert_eq!(both, ["/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1"]);
    }

    #[tokio::test]
    async fn a_dnsaddr_gives_the_tcp_addresses_of_its_peer_through_other_names_too() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let texts = vec![
            format!("dnsaddr=/ip4/192.0.2.1/tcp/4001/p2p/{peer}"),
            format!("dnsaddr=/ip4/192.0.2.2/tcp/4001/p2p/{other}"),
            format!("dnsaddr=/ip4/192.0.2.3/udp/4001/quic-v1/p2p/{peer}"),
            format!("dnsaddr=/dnsaddr/two.example/p2p/{peer}"),
            "v=spf1".into(),
        ];
        let second = vec![format!("dnsaddr=/dns4/node.example/tcp/4002/p2p/{peer}")];
        let names = Fixed(
            [
                ("_dnsaddr.one.example", texts),
                ("_dnsaddr.two.example", second),
                ("node.example", vec!["192.0.2.9".into()]),
            ]
            .into(),
        );
        let found = resolved(peer, &["/dnsaddr/one.example"], &names).await;
        assert_eq!(found, ["/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.9/tcp/4002"]);
    }

    #[tokio::test]
    async fn a_name_that_leads_to_itself_and_one_with_very_many_addresses_end() {
        let many: Vec<String> = (0..200).map(|i| format!("10.0.0.{i}")).collect();
        let itself = vec!["dnsaddr=/dnsaddr/loop.example".into()];
        let names = Fixed([("_dnsaddr.loop.example", itself), ("many.example", many)].into());
        let peer = PeerId::random();
        let found = resolved(peer, &["/dnsaddr/loop.example", "/dns4/many.example/tcp/1"], &names).await;
        assert_eq!(found.len(), MAX_ADDRESSES);
    }
}
