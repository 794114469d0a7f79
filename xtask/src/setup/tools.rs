//! The programs looked for by name: what each is needed for, how its version is read, which package brings it.

use std::process::Command;

use super::{Finding, Otherwise, Part, Remedy, State};
use crate::{
    build_ebpf::compiler::version_is_at_least,
    ci::is_ci,
    project::find_program,
    step::text_of,
    versions::{HAPROXY_LEAST, NODE_LEAST},
};

pub(super) struct Tool {
    /// Any one of these will do.
    names: &'static [&'static str],
    pub(super) part: Part,
    needed_for: &'static str,
    version: Version,
    pub(super) remedy: Remedy,
    presence: Presence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Needed,
    /// Good to have everywhere, needed where a change is judged.
    NeededInCi,
    Optional,
}

enum Version {
    /// Arguments that make it print its version.
    Printed(&'static [&'static str]),
    AtLeast(&'static [&'static str], &'static str),
    /// Arguments that make it print a list, and the line that must be in it.
    Lists(&'static [&'static str], &'static str),
}

pub(super) const ALL: &[Tool] = &[
    Tool {
        remedy: Remedy { least: Some(("haproxy", HAPROXY_LEAST)), ..Remedy::packages(&[&["haproxy"]]) },
        ..tool(&["haproxy"], Part::Proxy, "the proxy of a node", Version::AtLeast(&["-v"], HAPROXY_LEAST), &[])
    },
    tool(&["ip"], Part::Proxy, "namespaces, links and addresses", Version::Printed(&["-V"]), &[&["iproute2"]]),
    tool(&["ethtool"], Part::Proxy, "checksum offload of veth", Version::Printed(&["--version"]), &[&["ethtool"]]),
    tool(
        &["nft"],
        Part::Proxy,
        "placed connections beside a firewall",
        Version::Printed(&["--version"]),
        &[&["nftables"]],
    ),
    tool(&["sha256sum"], Part::Functions, "function shasum", Version::Printed(&["--version"]), &[&["coreutils"]]),
    tool(&["figlet"], Part::Functions, "function figlet", Version::Printed(&["-v"]), &[&["figlet"]]),
    tool(&["tesseract"], Part::Functions, "function ocr", Version::Printed(&["--version"]), &[&["tesseract-ocr"]]),
    tool(
        &["tesseract"],
        Part::Functions,
        "function ocr: English texts",
        Version::Lists(&["--list-langs"], "eng"),
        &[&["tesseract-ocr-eng"]],
    ),
    tool(&["curl"], Part::Functions, "function curl, and the tests", Version::Printed(&["--version"]), &[&["curl"]]),
    tool(
        &["bpftool"],
        Part::Tests,
        "reading programs and maps",
        Version::Printed(&["version"]),
        &[&["bpftool"], &["linux-tools-common", "linux-tools-generic"]],
    ),
    Tool {
        presence: Presence::NeededInCi,
        ..tool(&["promtool"], Part::Tests, "linting the metrics", Version::Printed(&["--version"]), &[&["prometheus"]])
    },
    tool(
        &["iptables"],
        Part::Tests,
        "rules that a node has to live with",
        Version::Printed(&["--version"]),
        &[&["iptables"]],
    ),
    Tool {
        presence: Presence::NeededInCi,
        ..tool(
            &["debootstrap"],
            Part::Tests,
            "hosts that boot, of tests/hosts",
            Version::Printed(&["--version"]),
            &[&["debootstrap"]],
        )
    },
    tool(&["wrk"], Part::Tests, "load in benches", Version::Printed(&["-v"]), &[&["wrk"]]),
    Tool {
        presence: Presence::NeededInCi,
        ..tool(
            &["qemu-system-x86_64"],
            Part::Tests,
            "guests with other kernels and drivers (88 MB)",
            Version::Printed(&["--version"]),
            &[&["qemu-system-x86"]],
        )
    },
    Tool {
        presence: Presence::NeededInCi,
        ..tool(&["busybox"], Part::Tests, "the system in guests", Version::Printed(&["--help"]), &[&["busybox-static"]])
    },
    Tool {
        presence: Presence::NeededInCi,
        ..tool(&["xz"], Part::Tests, "modules of their kernels", Version::Printed(&["--version"]), &[&["xz-utils"]])
    },
    Tool {
        presence: Presence::NeededInCi,
        remedy: NODE,
        ..tool(
            &["node"],
            Part::Interop,
            "the foreign peer of tests/interop",
            Version::AtLeast(&["--version"], NODE_LEAST),
            &[],
        )
    },
    Tool {
        presence: Presence::NeededInCi,
        remedy: NODE,
        ..tool(&["npm"], Part::Interop, "installing that peer", Version::Printed(&["--version"]), &[])
    },
    tool(
        &["debootstrap"],
        Part::Roots,
        "Debian roots of the clean-room test",
        Version::Printed(&["--version"]),
        &[&["debootstrap"]],
    ),
    tool(&["c++"], Part::Fuzz, "the engine of `cargo xtask fuzz`", Version::Printed(&["--version"]), &[&["g++"]]),
    Tool {
        presence: Presence::Optional,
        ..tool(&["tcpdump"], Part::Tests, "captures for bug reports", Version::Printed(&["--version"]), &[&["tcpdump"]])
    },
];

/// One without the other is of no use, and npm brings hundreds of packages.
const NODE: Remedy = Remedy {
    least: Some(("nodejs", NODE_LEAST)),
    otherwise: Some(Otherwise::ByHand(
        "put Node.js of that version with its npm on PATH (https://nodejs.org/en/download)",
    )),
    ..Remedy::packages(&[&["nodejs", "npm"]])
};

const fn tool(
    names: &'static [&'static str],
    part: Part,
    needed_for: &'static str,
    version: Version,
    packages: &'static [&'static [&'static str]],
) -> Tool {
    Tool { names, part, needed_for, version, remedy: Remedy::packages(packages), presence: Presence::Needed }
}

impl Tool {
    pub(super) fn is_one_of(&self, programs: &[&str]) -> bool {
        self.names.iter().any(|name| programs.contains(name))
    }

    pub(super) fn inspect(&self) -> Finding {
        Finding {
            what: self.names.join(" or "),
            needed_for: self.needed_for,
            state: self.state(),
            remedy: self.remedy,
            optional: match self.presence {
                Presence::Needed => false,
                Presence::NeededInCi => !is_ci(),
                Presence::Optional => true,
            },
        }
    }

    fn state(&self) -> State {
        let Some(program) = find_program(self.names) else { return State::missing() };
        let ask = |args: &[&str]| {
            let mut command = Command::new(&program);
            command.args(args);
            text_of(command).unwrap_or_default()
        };
        match self.version {
            Version::Printed(args) => State::Found(first_version(&ask(args)).unwrap_or("yes").to_owned()),
            Version::AtLeast(args, least) => match first_version(&ask(args)) {
                Some(version) if version_is_at_least(version, least) => State::Found(version.to_owned()),
                other => State::Missing(format!("version {}, expected {least} or later", other.unwrap_or("unknown"))),
            },
            Version::Lists(args, line) if ask(args).lines().any(|one| one.trim() == line) => {
                State::Found(line.to_owned())
            }
            Version::Lists(_, line) => State::Missing(format!("no `{line}`")),
        }
    }
}

/// The first number with a point in it: `2.6.12` in `HAProxy version 2.6.12-1+deb12u4`.
fn first_version(text: &str) -> Option<&str> {
    let digits_and_points = |c: char| !(c.is_ascii_digit() || c == '.');
    text.split(digits_and_points).map(|run| run.trim_matches('.')).find(|run| run.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_tools_really_print() {
        for (text, version) in [
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
            ("ip utility, iproute2-6.1.0, libbpf 1.1.2", "6.1.0"),
            ("bpftool v7.1.0\nusing libbpf v1.1", "7.1.0"),
            ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer", "4.1.0"),
            ("sha256sum (GNU coreutils) 9.1", "9.1"),
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22"),
            ("BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.", "1.35.0"),
        ] {
            assert_eq!(first_version(text), Some(version));
        }
        assert_eq!(first_version("Usage: hey [options...] <url>"), None);
    }

    fn shell(version: Version) -> State {
        tool(&["sh"], Part::Tests, "x", version, &[&["dash"]]).state()
    }

    #[test]
    fn a_version_below_the_least_is_missing_and_told() {
        let State::Missing(reason) = shell(Version::AtLeast(&["-c", "echo v2.4.9"], "2.6")) else { panic!("taken") };
        assert!(reason.contains("2.4.9") && reason.contains("2.6"), "{reason}");
        assert_eq!(shell(Version::AtLeast(&["-c", "echo v2.10.1"], "2.6")), State::Found("2.10.1".to_owned()));
    }

    #[test]
    fn a_list_without_the_wanted_line_is_missing() {
        assert_eq!(shell(Version::Lists(&["-c", "echo deu; echo eng"], "eng")), State::Found("eng".to_owned()));
        assert!(matches!(shell(Version::Lists(&["-c", "echo english"], "eng")), State::Missing(_)));
    }
}
