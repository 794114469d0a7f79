//! The host's network, by netlink: which way a peer is, and the aliases on `lo`.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use rtnetlink::{
    Handle, IpVersion, RouteMessageBuilder,
    packet_route::{
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourState},
        route::{RouteAddress, RouteAttribute},
    },
};

/// Where frames towards an address go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    pub ifindex: u32,
    pub mac: [u8; 6],
}

/// A netlink connection in the network namespace of the thread that made it.
#[derive(Clone)]
pub struct Network {
    handle: Handle,
    loopback: u32,
}

impl Network {
    pub fn connect() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().context("cannot open a netlink socket")?;
        tokio::spawn(connection);
        let loopback = nix::net::if_::if_nametoindex("lo").context("there is no interface lo")?;
        Ok(Self { handle, loopback })
    }

    /// Next hop of an address; `None` if the link layer does not know it (yet): a packet towards it makes it known.
    pub async fn next_hop(&self, address: Ipv4Addr) -> Result<Option<NextHop>> {
        let question = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build();
        let routes = self.handle.route().get(question).execute();
        // To the end: rtnetlink warns of every answer that nobody takes.
        let routes: Vec<_> = routes.try_collect().await.with_context(|| format!("no route to {address}"))?;
        let Some(route) = routes.into_iter().next() else { return Ok(None) };
        let mut ifindex = None;
        let mut gateway = address;
        for attribute in route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => ifindex = Some(index),
                RouteAttribute::Gateway(RouteAddress::Inet(via)) => gateway = via,
                _ => {}
            }
        }
        match ifindex {
            Some(ifindex) => self.neighbour(ifindex, gateway).await,
            None => Ok(None),
        }
    }

    async fn neighbour(&self, ifindex: u32, address: Ipv4Addr) -> Result<Option<NextHop>> {
        let unusable = [NeighbourState::Failed, NeighbourState::Incomplete, NeighbourState::None];
        let mut entries = self.handle.neighbours().get().set_family(IpVersion::V4).execute();
        let mut found = None;
        while let Some(entry) = entries.try_next().await.context("cannot list the neighbours")? {
            if entry.header.ifindex != ifindex || unusable.contains(&entry.header.state) {
                continue;
            }
            let mut mac = None;
            let mut is_it = false;
            for attribute in entry.attributes {
                match attribute {
                    NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => is_it = a == address,
                    NeighbourAttribute::LinkLocalAddress(bytes) => mac = bytes.try_into().ok(),
                    _ => {}
                }
            }
            if let (true, Some(mac)) = (is_it, mac) {
                found = Some(NextHop { ifindex, mac });
            }
        }
        Ok(found)
    }

    /// Puts an alias on `lo`; one that is there already is fine.
    pub async fn add_alias(&self, alias: Ipv4Addr) -> Result<()> {
        let request = self.handle.address().add(self.loopback, IpAddr::V4(alias), 32).replace();
        request.execute().await.with_context(|| format!("cannot put {alias} on lo"))
    }

    /// Takes all aliases of the range off `lo`.
    pub async fn remove_aliases(&self, (network, len): (Ipv4Addr, u8)) -> Result<usize> {
        use rtnetlink::packet_route::address::AddressAttribute;
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let in_range = |a: &Ipv4Addr| (u32::from(*a) ^ u32::from(network)) & mask == 0;
        let mut addresses = self.handle.address().get().set_link_index_filter(self.loopback).execute();
        let mut found = Vec::new();
        while let Some(message) = addresses.try_next().await.context("cannot list the addresses of lo")? {
            let alias =
                message.attributes.iter().any(|a| matches!(a, AddressAttribute::Address(IpAddr::V4(a)) if in_range(a)));
            if alias {
                found.push(message);
            }
        }
        let n = found.len();
        for message in found {
            self.handle.address().del(message).execute().await.context("cannot take an alias off lo")?;
        }
        Ok(n)
    }
}

/// First IPv4 address of an interface.
pub fn interface_address(name: &str) -> Option<Ipv4Addr> {
    nix::ifaddrs::getifaddrs()
        .ok()?
        .filter(|i| i.interface_name == name)
        .find_map(|i| Some(i.address?.as_sockaddr_in()?.ip()))
}
