//! What a root holds besides the essential packages.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flavour {
    /// apt and the essential packages
    Minbase,
    /// What the README asks for besides Rust: a C linker
    Fresh,
    /// A machine to boot: systemd, the proxy, and tools to look at the network
    Systemd,
}

impl Flavour {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Minbase => "",
            Self::Fresh => "-fresh",
            Self::Systemd => "-systemd",
        }
    }

    pub(super) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Minbase => &[],
            Self::Fresh => &["gcc", "libc6-dev", "ca-certificates"],
            Self::Systemd => &[
                "systemd",
                "systemd-sysv",
                "dbus",
                "udev",
                "haproxy",
                "iproute2",
                "ethtool",
                "nftables",
                "iptables",
                "procps",
                "kmod",
                "curl",
                "ca-certificates",
                "iputils-ping",
                "tcpdump",
            ],
        }
    }
}
