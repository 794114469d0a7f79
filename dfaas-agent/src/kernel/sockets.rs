//! TCP connections of this network namespace, as `/proc/net/tcp` tells them.

use std::{collections::BTreeSet, net::Ipv4Addr};

use anyhow::{Context as _, Result};

const PLACE: &str = "/proc/net/tcp";

/// The addresses at this end of all IPv4 connections.
pub(super) fn addresses() -> Result<BTreeSet<Ipv4Addr>> {
    Ok(parse(&std::fs::read_to_string(PLACE).with_context(|| format!("cannot read {PLACE}"))?))
}

/// The second column is `local_address`: the number as it lies in memory, in hexadecimal digits, and the port.
fn parse(table: &str) -> BTreeSet<Ipv4Addr> {
    let address = |line: &str| {
        let (address, _port) = line.split_whitespace().nth(1)?.split_once(':')?;
        Some(Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes()))
    };
    table.lines().skip(1).filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_read_as_the_kernel_prints_them() {
        let listener = std::net::TcpListener::bind("127.3.2.1:0").unwrap();
        assert!(addresses().unwrap().contains(&Ipv4Addr::new(127, 3, 2, 1)), "{listener:?}");
        assert!(parse("  sl  local_address rem_address   st\n   0: broken\n\n").is_empty());
    }
}
