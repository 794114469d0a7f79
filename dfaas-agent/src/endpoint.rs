//! Where a service listens.

use std::fmt;

use crate::name::Host;

/// Host and port; its text is `host:port`, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: Host,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.as_str().contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_host_stands_in_brackets() {
        for (host, text) in
            [("10.0.0.1", "10.0.0.1:80"), ("fe80::1", "[fe80::1]:80"), ("gateway.local", "gateway.local:80")]
        {
            assert_eq!(Endpoint { host: host.parse().unwrap(), port: 80 }.to_string(), text);
        }
    }
}
