//! Which addresses are a peer's own: those that it speaks from. On its word alone our calls would go to anybody.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
};

use super::Peer;

/// Why an address that a peer announces is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    what: What,
    address: IpAddr,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Proxy,
    Tunnel,
    Service,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Loopback, link-local, multicast and the like.
    NoHost,
    Ours,
    Elsewhere,
    Anothers,
}

impl Unproven {
    pub(super) fn anothers(what: What, address: IpAddr) -> Self {
        Self { what, address, why: Why::Anothers }
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Proxy => "proxy",
            What::Tunnel => "tunnel",
            What::Service => "service",
        };
        let why = match self.why {
            Why::NoHost => "expected the unicast address of a host",
            Why::Ours => "which is this node's own",
            Why::Elsewhere => "expected one that it is connected by",
            Why::Anothers => "which another peer had first",
        };
        write!(f, "announces the {what} address {}, {why}", self.address)
    }
}

/// What may be the address of a machine that others reach.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast())
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast()),
    }
}

impl Peer {
    fn check(&self, what: What, address: IpAddr, ours: &BTreeSet<IpAddr>) -> Result<IpAddr, Unproven> {
        let address = address.to_canonical();
        let why = if !is_host(address) {
            Why::NoHost
        } else if ours.contains(&address) {
            Why::Ours
        } else if !self.remotes.contains(&address) {
            Why::Elsewhere
        } else {
            return Ok(address);
        };
        Err(Unproven { what, address, why })
    }

    /// Where its proxy takes calls; `None` if it has not said, or is not connected. A name is not looked up: whatever it may
    /// say, only an address that the peer speaks from would do.
    pub(super) fn proxy_address(&self, ours: &BTreeSet<IpAddr>) -> Option<Result<SocketAddr, Unproven>> {
        let (host, port) = self.proxy.as_ref()?;
        let address = match host.as_str().parse() {
            Ok(address) => self.check(What::Proxy, address, ours),
            // The least is an IPv4 address, if there is one.
            Err(_) => self.check(What::Proxy, *self.remotes.first()?, ours),
        };
        Some(address.map(|address| SocketAddr::new(address, *port)))
    }

    /// Where its tunnel ends and its clients call it; `None` if it hands nothing off.
    pub(super) fn handoff_addresses(
        &self,
        ours: &BTreeSet<IpAddr>,
    ) -> Option<Result<(Ipv4Addr, SocketAddrV4), Unproven>> {
        let handoff = self.handoff()?;
        let checked = self
            .check(What::Tunnel, handoff.tunnel.into(), ours)
            .and_then(|_| self.check(What::Service, (*handoff.service.ip()).into(), ours));
        Some(checked.map(|_| (handoff.tunnel, handoff.service)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(remotes: &[&str], host: &str) -> Peer {
        let remotes = remotes.iter().map(|ip| ip.parse().unwrap()).collect();
        Peer { remotes, proxy: Some((host.parse().unwrap(), 30080)), ..Peer::default() }
    }

    fn proxy(remotes: &[&str], host: &str) -> Result<String, Why> {
        let ours = ["10.0.0.1".parse().unwrap()].into();
        let found = peer(remotes, host).proxy_address(&ours).unwrap();
        found.map(|address| address.to_string()).map_err(|unproven| unproven.why)
    }

    #[test]
    fn a_proxy_is_where_its_peer_speaks_from_and_nowhere_else() {
        assert_eq!(proxy(&["10.0.0.2"], "10.0.0.2").unwrap(), "10.0.0.2:30080");
        assert_eq!(proxy(&["10.0.0.2", "192.0.2.7"], "192.0.2.7").unwrap(), "192.0.2.7:30080");
        assert_eq!(proxy(&["2001:db8::2"], "2001:db8::2").unwrap(), "[2001:db8::2]:30080");
        assert_eq!(proxy(&["10.0.0.2"], "10.0.0.3"), Err(Why::Elsewhere));
        assert_eq!(proxy(&["10.0.0.1"], "10.0.0.1"), Err(Why::Ours));
        for address in
            ["127.0.0.1", "0.0.0.0", "169.254.0.9", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "ff02::1"]
        {
            assert_eq!(proxy(&[address], address), Err(Why::NoHost), "{address}");
        }
        assert_eq!(proxy(&["127.0.0.1"], "::ffff:127.0.0.1"), Err(Why::NoHost));
    }

    #[test]
    fn a_name_stands_for_the_address_that_its_peer_speaks_from() {
        assert_eq!(proxy(&["10.0.0.2"], "node-2.example.org").unwrap(), "10.0.0.2:30080");
        assert_eq!(proxy(&["2001:db8::2", "10.0.0.2"], "localhost").unwrap(), "10.0.0.2:30080");
        assert_eq!(proxy(&["127.0.0.1"], "node-2.example.org"), Err(Why::NoHost));
        assert_eq!(peer(&[], "node-2.example.org").proxy_address(&BTreeSet::new()), None, "not connected");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_address() {
        let text = peer(&["10.0.0.2"], "10.0.0.9").proxy_address(&BTreeSet::new()).unwrap().unwrap_err().to_string();
        assert_eq!(text, "announces the proxy address 10.0.0.9, expected one that it is connected by");
    }
}
