//! How much the kernel does, and why not more.

use std::fs;

use super::{btf::KernelBtf, kfunc::PLACE};
pub use crate::mode::{Mode, XdpPlace};

/// A setting of the network namespace that `handoff` needs.
struct Sysctl {
    name: &'static str,
    path: &'static str,
    good: fn(u32) -> bool,
    want: &'static str,
    why: &'static str,
}

const SYSCTLS: [Sysctl; 5] = [
    Sysctl {
        name: "net.ipv4.tcp_syncookies",
        path: "/proc/sys/net/ipv4/tcp_syncookies",
        good: |v| v >= 1,
        want: "1",
        why: "with 0 the stack resets placed connections",
    },
    Sysctl {
        name: "net.ipv4.tcp_timestamps",
        path: "/proc/sys/net/ipv4/tcp_timestamps",
        good: |v| v == 1,
        want: "1",
        why: "the kernel refuses to place connections with timestamps otherwise",
    },
    Sysctl {
        name: "net.ipv4.tcp_sack",
        path: "/proc/sys/net/ipv4/tcp_sack",
        good: |v| v == 1,
        want: "1",
        why: "the handshake offers it",
    },
    Sysctl {
        name: "net.ipv4.tcp_window_scaling",
        path: "/proc/sys/net/ipv4/tcp_window_scaling",
        good: |v| v == 1,
        want: "1",
        why: "the handshake offers it",
    },
    Sysctl {
        name: "net.ipv4.tcp_rfc1337",
        path: "/proc/sys/net/ipv4/tcp_rfc1337",
        good: |v| v == 0,
        want: "0",
        why: "with 1 a reused client port waits for a minute",
    },
];

/// Everything that keeps this host from `handoff`, one sentence each; empty if nothing does.
pub fn obstacles(btf: &KernelBtf) -> Vec<String> {
    let mut obstacles = Vec::new();
    if btf.function(PLACE).is_none() {
        obstacles.push(format!("this kernel has no {PLACE} (Linux 6.9)"));
    }
    for s in &SYSCTLS {
        match fs::read_to_string(s.path).ok().and_then(|text| text.trim().parse().ok()) {
            Some(value) if (s.good)(value) => {}
            Some(value) => obstacles.push(format!("{} is {value}, {} is needed: {}", s.name, s.want, s.why)),
            None => obstacles.push(format!("cannot read {}", s.path)),
        }
    }
    obstacles
}
