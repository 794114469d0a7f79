//! Netfilter itself, by netlink: whether NAT is in use, and when rules change.
//!
//! Not through `nft`, which may be absent while `iptables` has made rules.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket},
};

/// `NFNLGRP_NFTABLES`, as a bit.
const GROUP: u32 = 1 << 6;
/// `NFNL_SUBSYS_NFTABLES` with `NFT_MSG_NEWCHAIN` and `NFT_MSG_GETCHAIN`.
const NEW_CHAIN: u16 = 10 << 8 | 3;
const GET_CHAIN: u16 = 10 << 8 | 4;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NFTA_CHAIN_TYPE`.
const CHAIN_TYPE: u16 = 7;
/// Families whose NAT sees IPv4: `NFPROTO_INET` and `NFPROTO_IPV4`.
const FAMILIES: [u8; 2] = [1, 2];
const HEADER: usize = 16;
const BUFFER: usize = 64 << 10;

/// Does anything translate IPv4 addresses here? Such a table takes sockets from placed packets as soon as connections
/// are tracked, whatever its rules are.
pub(super) fn has_nat() -> Result<bool> {
    Ok(has_old_nat() || has_nat_chain()?)
}

/// A table of the old iptables, which netlink does not tell. Once made it stays for the life of the namespace.
fn has_old_nat() -> bool {
    // No such file: no such tables.
    let names = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    names.lines().any(|name| name == "nat")
}

fn has_nat_chain() -> Result<bool> {
    let context = "cannot ask netfilter for its chains";
    let Some(socket) = open(0).context(context)? else { return Ok(false) };
    let mut question = [0; HEADER + 4];
    question[0..4].copy_from_slice(&(HEADER as u32 + 4).to_ne_bytes());
    question[4..6].copy_from_slice(&GET_CHAIN.to_ne_bytes());
    question[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    send(socket.as_raw_fd(), &question, MsgFlags::empty()).context(context)?;
    let mut buffer = vec![0; BUFFER];
    let mut found = false;
    loop {
        if !readable(&socket, Duration::from_secs(5))? {
            bail!("{context}: no answer");
        }
        let n = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).context(context)?;
        for (kind, body) in messages(&buffer[..n]) {
            match kind {
                // A kernel without nf_tables.
                DONE | ERROR => return Ok(found),
                NEW_CHAIN => found |= is_nat(body),
                _ => {}
            }
        }
    }
}

fn is_nat(chain: &[u8]) -> bool {
    let Some((family, attributes)) = chain.first().zip(chain.get(4..)) else { return false };
    FAMILIES.contains(family) && pieces(attributes, 4, 2).any(|(kind, value)| kind == CHAIN_TYPE && value == b"nat\0")
}

/// Kind and body of each message.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
        let body = rest.get(HEADER..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Kind and value of each attribute: `header` bytes, the kind at `kind_at`, the length in front.
fn pieces(bytes: &[u8], header: usize, kind_at: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(rest.get(kind_at..kind_at + 2)?.try_into().ok()?);
        let value = rest.get(header..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}

/// Tells that somebody has changed rules; nothing where the kernel has no netfilter (yet: it may be loaded as a module).
pub(super) struct Changes(Option<OwnedFd>);

impl Changes {
    pub(super) fn follow() -> Result<Self> {
        Ok(Self(open(GROUP).context("cannot follow changes of the firewall")?))
    }

    /// Waits for a change, for so long at most; true if there was one.
    pub(super) fn wait(&self, limit: Duration) -> Result<bool> {
        let Some(socket) = &self.0 else {
            std::thread::sleep(limit);
            return Ok(false);
        };
        if !readable(socket, limit)? {
            return Ok(false);
        }
        // What has changed is looked up: only that something has matters here, and so does a full buffer.
        let mut buffer = vec![0; BUFFER];
        while matches!(
            recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT),
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR)
        ) {}
        Ok(true)
    }
}

/// `None` where the kernel has no netfilter.
fn open(groups: u32) -> nix::Result<Option<OwnedFd>> {
    let protocol = SockProtocol::NetlinkNetFilter;
    let socket = match socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol) {
        Ok(socket) => socket,
        Err(Errno::EPROTONOSUPPORT) => return Ok(None),
        Err(e) => return Err(e),
    };
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(Some(socket))
}

fn readable(socket: &OwnedFd, limit: Duration) -> Result<bool> {
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(n) => Ok(n > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(e).context("cannot wait for netfilter"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn chain(family: u8, kind: &[u8]) -> Vec<u8> {
        [vec![family, 0, 0, 0], attribute(3, b"postrouting\0"), attribute(CHAIN_TYPE, kind)].concat()
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn nat_chains_that_see_ipv4_are_found() {
        assert!(is_nat(&chain(2, b"nat\0")) && is_nat(&chain(1, b"nat\0")));
        assert!(!is_nat(&chain(10, b"nat\0")) && !is_nat(&chain(2, b"filter\0")));
    }

    #[test]
    fn messages_are_read_one_by_one_and_torn_ones_end_the_reading() {
        let both = [message(NEW_CHAIN, &chain(2, b"filter\0")), message(DONE, &[0; 4])].concat();
        assert_eq!(messages(&both).map(|(kind, _)| kind).collect::<Vec<_>>(), [NEW_CHAIN, DONE]);
        for len in 0..both.len() {
            assert!(messages(&both[..len]).count() <= 1);
            let _ = messages(&both[..len]).filter(|(_, body)| is_nat(body)).count();
        }
    }
}
