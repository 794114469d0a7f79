//! The host's network, by netlink: which way a peer is, and the aliases on `lo`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Context as _, Result};
use dfaas_common::packet::Mac;
use futures::TryStreamExt as _;
use nix::ifaddrs::InterfaceAddress;
use rtnetlink::{
    Handle, IpVersion, MulticastGroup, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressMessage},
        link::LinkAttribute,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourState},
        route::{RouteAddress, RouteAttribute},
    },
};

/// Where frames towards an address go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextHop {
    pub(crate) ifindex: u32,
    pub(crate) mac: [u8; 6],
}

/// By interface and address: the link-layer addresses that are known.
pub(crate) type Neighbours = BTreeMap<(u32, Ipv4Addr), [u8; 6]>;

/// A netlink connection in the network namespace of the thread that made it.
#[derive(Clone)]
pub(crate) struct Network {
    handle: Handle,
    loopback: u32,
}

/// Something may have changed on the host's network.
pub(crate) type Changes = futures::channel::mpsc::UnboundedReceiver<(
    rtnetlink::packet_core::NetlinkMessage<rtnetlink::packet_route::RouteNetlinkMessage>,
    rtnetlink::sys::SocketAddr,
)>;

impl Network {
    pub(crate) fn connect() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().context("cannot open a netlink socket")?;
        tokio::spawn(connection);
        let loopback = nix::net::if_::if_nametoindex("lo").context("there is no interface lo")?;
        Ok(Self { handle, loopback })
    }

    /// A connection that is also told of changes to neighbours, routes, addresses and interfaces.
    pub(crate) fn connect_and_listen() -> Result<(Self, Changes)> {
        let groups =
            [MulticastGroup::Neigh, MulticastGroup::Ipv4Route, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Link];
        let (connection, handle, changes) =
            rtnetlink::new_multicast_connection(&groups).context("cannot open a netlink socket")?;
        tokio::spawn(connection);
        let loopback = nix::net::if_::if_nametoindex("lo").context("there is no interface lo")?;
        Ok((Self { handle, loopback }, changes))
    }

    /// Interface towards an address, and whom to give its packets there.
    pub(crate) async fn route(&self, address: Ipv4Addr) -> Result<(u32, Ipv4Addr)> {
        let question = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build();
        let routes = self.handle.route().get(question).execute();
        // To the end: rtnetlink warns of every answer that nobody takes.
        let routes: Vec<_> = routes.try_collect().await.with_context(|| format!("no route to {address}"))?;
        let route = routes.into_iter().next().with_context(|| format!("no route to {address}"))?;
        let mut ifindex = None;
        let mut gateway = address;
        for attribute in route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => ifindex = Some(index),
                RouteAttribute::Gateway(RouteAddress::Inet(via)) => gateway = via,
                _ => {}
            }
        }
        Ok((ifindex.with_context(|| format!("the route to {address} has no interface"))?, gateway))
    }

    pub(crate) async fn neighbours(&self) -> Result<Neighbours> {
        let unusable = [NeighbourState::Failed, NeighbourState::Incomplete, NeighbourState::None];
        let mut entries = self.handle.neighbours().get().set_family(IpVersion::V4).execute();
        let mut found = Neighbours::new();
        while let Some(entry) = entries.try_next().await.context("cannot list the neighbours")? {
            if unusable.contains(&entry.header.state) {
                continue;
            }
            let mut mac = None;
            let mut address = None;
            for attribute in entry.attributes {
                match attribute {
                    NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => address = Some(a),
                    NeighbourAttribute::LinkLocalAddress(bytes) => mac = bytes.try_into().ok(),
                    _ => {}
                }
            }
            if let (Some(address), Some(mac)) = (address, mac) {
                found.insert((entry.header.ifindex, address), mac);
            }
        }
        Ok(found)
    }

    /// As [`links`], without keeping the caller's thread waiting.
    pub(crate) async fn links(&self, interface: &str, service: Ipv4Addr) -> Result<Links> {
        let mut addresses = self.handle.address().get().set_address_filter(IpAddr::V4(service)).execute();
        let mut above = None;
        while let Some(message) = addresses.try_next().await.context("cannot list the addresses")? {
            above = above.or(Some(message.header.index));
        }
        let mut found = [0; 2];
        let mut entries = self.handle.link().get().execute();
        while let Some(message) = entries.try_next().await.context("cannot list the interfaces")? {
            let is_named = message.attributes.contains(&LinkAttribute::IfName(interface.to_owned()));
            let link = message.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Address(bytes) => Some(Mac::new(bytes.as_slice().try_into().ok()?).word()),
                _ => None,
            });
            if is_named {
                found[0] = link.unwrap_or(0);
            }
            if Some(message.header.index) == above {
                found[1] = link.unwrap_or(0);
            }
        }
        Ok(found)
    }

    /// Puts an alias on `lo`; one that is there already is fine.
    pub(crate) async fn add_alias(&self, alias: Ipv4Addr) -> Result<()> {
        let request = self.handle.address().add(self.loopback, IpAddr::V4(alias), 32).replace();
        request.execute().await.with_context(|| format!("cannot put {alias} on lo"))
    }

    /// Addresses of `lo` in this range.
    pub(crate) async fn aliases(&self, range: (Ipv4Addr, u8)) -> Result<BTreeSet<Ipv4Addr>> {
        let found = self.alias_messages(range).await?;
        Ok(found.into_iter().map(|(alias, _)| alias).collect())
    }

    /// Takes all aliases of the range off `lo`; how many.
    pub(crate) async fn remove_aliases(&self, range: (Ipv4Addr, u8)) -> Result<usize> {
        let found = self.alias_messages(range).await?;
        let n = found.len();
        for (alias, message) in found {
            let removed = self.handle.address().del(message).execute().await;
            removed.with_context(|| format!("cannot take {alias} off lo"))?;
        }
        Ok(n)
    }

    async fn alias_messages(&self, (network, len): (Ipv4Addr, u8)) -> Result<Vec<(Ipv4Addr, AddressMessage)>> {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let in_range = |a: Ipv4Addr| (u32::from(a) ^ u32::from(network)) & mask == 0;
        let mut addresses = self.handle.address().get().set_link_index_filter(self.loopback).execute();
        let mut found = Vec::new();
        while let Some(message) = addresses.try_next().await.context("cannot list the addresses of lo")? {
            let alias = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(IpAddr::V4(alias)) if in_range(*alias) => Some(*alias),
                _ => None,
            });
            found.extend(alias.map(|alias| (alias, message)));
        }
        Ok(found)
    }
}

/// First IPv4 address of an interface.
pub(crate) fn interface_address(name: &str) -> Option<Ipv4Addr> {
    nix::ifaddrs::getifaddrs()
        .ok()?
        .filter(|i| i.interface_name == name)
        .find_map(|i| Some(i.address?.as_sockaddr_in()?.ip()))
}

/// Link-layer addresses that frames for this node are sent to, as [`Control::links`](dfaas_common::settings::Control): the
/// interface's, and that of the interface which has the service address (a bridge above it); 0 for one that has none.
pub(crate) type Links = [u64; 2];

/// Asked once, at the start: it waits for the kernel.
pub(crate) fn links(interface: &str, service: Ipv4Addr) -> Result<Links> {
    let entries: Vec<_> = nix::ifaddrs::getifaddrs().context("cannot list the interfaces")?.collect();
    let link = |name: &str| {
        let mut entries = entries.iter().filter(|entry| entry.interface_name == name);
        let bytes = entries.find_map(|entry| entry.address?.as_link_addr()?.addr());
        bytes.map_or(0, |bytes| Mac::new(bytes).word())
    };
    let has_service = |entry: &&InterfaceAddress| {
        entry.address.is_some_and(|address| address.as_sockaddr_in().is_some_and(|address| address.ip() == service))
    };
    let above = entries.iter().find(has_service).map_or(0, |entry| link(&entry.interface_name));
    Ok([link(interface), above])
}
