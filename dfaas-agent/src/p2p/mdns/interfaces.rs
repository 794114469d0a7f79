//! The IPv4 interfaces that multicast DNS is spoken on. They may come and go.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddrV4},
};

use libp2p::Multiaddr;
use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::p2p::address::ip;

/// Addresses looked at, one per interface is typical.
const MAX_INTERFACES: usize = 32;

#[derive(Debug)]
pub(super) struct Interfaces {
    only_loopback: bool,
    joined: BTreeSet<Ipv4Addr>,
}

impl Interfaces {
    pub(super) fn new(only_loopback: bool) -> Self {
        Self { only_loopback, joined: BTreeSet::new() }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.joined.iter().copied()
    }

    /// True for an address that others on these interfaces can use.
    pub(super) fn serves(&self, address: &Multiaddr) -> bool {
        ip(address).is_some_and(|ip| ip.is_loopback() == self.only_loopback)
    }

    /// Joins the group where there are new addresses.
    pub(super) fn refresh(&mut self, socket: &UdpSocket, group: Ipv4Addr) {
        let now = self.present();
        self.joined.retain(|address| now.contains(address));
        for address in now {
            if !self.joined.contains(&address) {
                // It fails for a second address of an interface, which is in the group already.
                if let Err(error) = socket.join_multicast_v4(group, address) {
                    tracing::debug!(%address, %error, "cannot join the group of mDNS");
                }
                self.joined.insert(address);
            }
        }
    }

    fn present(&self) -> BTreeSet<Ipv4Addr> {
        let Ok(all) = getifaddrs() else { return BTreeSet::new() };
        let wanted = |flags: InterfaceFlags| {
            let loopback = flags.contains(InterfaceFlags::IFF_LOOPBACK);
            flags.contains(InterfaceFlags::IFF_UP)
                && loopback == self.only_loopback
                // Loopback carries multicast without saying so.
                && (loopback || flags.contains(InterfaceFlags::IFF_MULTICAST))
        };
        let address = |interface: nix::ifaddrs::InterfaceAddress| Some(interface.address?.as_sockaddr_in()?.ip());
        let addresses = all.filter(|interface| wanted(interface.flags)).filter_map(address);
        addresses.take(MAX_INTERFACES).collect()
    }
}

/// A socket that leaves room for others on its port: the system's own responder, other nodes.
pub(super) fn socket(port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    UdpSocket::from_std(socket.into())
}

/// What is sent to a group next leaves by the interface with this address.
pub(super) fn send_from(socket: &UdpSocket, interface: Ipv4Addr) -> io::Result<()> {
    SockRef::from(socket).set_multicast_if_v4(&interface)
}
