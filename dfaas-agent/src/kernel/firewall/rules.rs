//! The table of a node, as text for `nft -f`.
//!
//! * `arriving`, `leaving`: packets of steered connections are not tracked. By interface, address and port, not by a mark:
//!   later packets of a connection placed here carry no hint, and answers are made by sockets that know nothing of us.
//! * `redirected`: clients whose connections come to our port through a rule of somebody else (DNAT, REDIRECT) of another
//!   port. Those are tracked, and must stay so on the way out. Only where there is NAT: the rule would switch tracking on.
//! * `delivered`, `left`: behind all other rules. What does not get there was dropped on the way.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4},
};

use sha2::{Digest as _, Sha256};

/// Behind every chain that a person would make: those have priorities between -400 and 300.
const LAST: i32 = 2_000_000_000;

/// What is exempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exemption {
    pub(crate) interface: String,
    pub(crate) service: SocketAddrV4,
    /// Network and prefix length.
    pub(crate) aliases: (Ipv4Addr, u8),
}

/// Name of the table of an interface: one of its own for each, since names of interfaces may hold almost anything.
pub(super) fn table_name(interface: &str) -> String {
    interface.bytes().fold("dfaas_".to_owned(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "_{byte:02x}");
        }
        name
    })
}

/// The table, and by what it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) table: String,
    /// Comment of each rule: a digest of all of them.
    pub(super) mark: String,
    pub(super) count: usize,
    /// Replaces whatever is there of that name, at once.
    pub(super) text: String,
}

impl Exemption {
    pub(super) fn rules(&self, beside_nat: bool) -> Rules {
        let chains = self.chains(beside_nat);
        let described = format!("{chains:?}");
        let mark = Sha256::digest(&described)[..6].iter().fold(String::new(), |all, byte| format!("{all}{byte:02x}"));
        let table = table_name(&self.interface);
        let mut text = format!("table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n");
        for counter in ["arrived", "delivered", "leaving", "left"] {
            let _ = writeln!(text, "\tcounter {counter} {{\n\t}}");
        }
        if beside_nat {
            // Longer than connection tracking remembers an idle connection (five days).
            text.push_str("\tset redirected {\n\t\ttypeof ip saddr . tcp sport\n\t\tflags dynamic,timeout\n");
            text.push_str("\t\ttimeout 6d\n\t\tsize 65536\n\t}\n");
        }
        for (name, hook, priority, rules) in &chains {
            let _ =
                writeln!(text, "\tchain {name} {{\n\t\ttype filter hook {hook} priority {priority}; policy accept;");
            for rule in rules {
                let _ = writeln!(text, "\t\t{rule} comment \"{mark}\"");
            }
            text.push_str("\t}\n");
        }
        text.push_str("}\n");
        Rules { table, mark, count: chains.iter().map(|chain| chain.3.len()).sum(), text }
    }

    /// Name, hook, priority, rules.
    fn chains(&self, beside_nat: bool) -> Vec<(&'static str, &'static str, i32, Vec<String>)> {
        let (interface, service) = (&self.interface, self.service);
        let aliases = format!("{}/{}", self.aliases.0, self.aliases.1);
        let to_service = format!("iifname \"{interface}\" ip daddr {} tcp dport {}", service.ip(), service.port());
        let to_alias = format!("iifname \"{interface}\" ip daddr {aliases} ip protocol tcp");
        let from_service = format!("oifname \"{interface}\" ip saddr {} tcp sport {}", service.ip(), service.port());
        let from_alias = format!("oifname \"{interface}\" ip saddr {aliases} ip protocol tcp");
        let not_redirected = if beside_nat { " ip daddr . tcp dport != @redirected" } else { "" };
        let mut chains = vec![
            ("arriving", "prerouting", -300, both(&to_service, &to_alias, "counter name \"arrived\" notrack")),
            (
                "leaving",
                "output",
                -300,
                both(&format!("{from_service}{not_redirected}"), &from_alias, "counter name \"leaving\" notrack"),
            ),
            ("delivered", "input", LAST, both(&to_service, &to_alias, "counter name \"delivered\"")),
            ("left", "postrouting", LAST, both(&from_service, &from_alias, "counter name \"left\"")),
        ];
        if beside_nat {
            let remember = format!("{to_service} ct status dnat update @redirected {{ ip saddr . tcp sport }}");
            // Behind destination NAT, at -100.
            chains.push(("remember", "prerouting", -90, vec![remember]));
        }
        chains
    }
}

fn both(service: &str, aliases: &str, action: &str) -> Vec<String> {
    vec![format!("{service} {action}"), format!("{aliases} {action}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exemption() -> Exemption {
        Exemption {
            interface: "eth0".to_owned(),
            service: "10.0.0.9:80".parse().unwrap(),
            aliases: (Ipv4Addr::new(169, 254, 64, 0), 18),
        }
    }

    #[test]
    fn both_directions_of_service_and_aliases_are_exempt_and_nothing_else() {
        let text = exemption().rules(false).text;
        let notrack: Vec<_> = text.lines().filter(|line| line.contains("notrack")).map(str::trim).collect();
        assert_eq!(notrack.len(), 4, "{text}");
        assert!(notrack[0].starts_with("iifname \"eth0\" ip daddr 10.0.0.9 tcp dport 80 "));
        assert!(notrack[1].starts_with("iifname \"eth0\" ip daddr 169.254.64.0/18 ip protocol tcp "));
        assert!(notrack[2].starts_with("oifname \"eth0\" ip saddr 10.0.0.9 tcp sport 80 "));
        assert!(notrack[3].starts_with("oifname \"eth0\" ip saddr 169.254.64.0/18 ip protocol tcp "));
    }

    #[test]
    fn tracking_is_not_switched_on_where_there_is_no_nat() {
        assert!(!exemption().rules(false).text.contains(" ct "));
        assert!(exemption().rules(true).text.contains("ct status dnat update @redirected"));
    }

    #[test]
    fn every_rule_carries_the_mark_of_its_table_and_other_rules_have_another() {
        let (rules, beside) = (exemption().rules(false), exemption().rules(true));
        assert_eq!(rules.text.matches(&format!("comment \"{}\"", rules.mark)).count(), rules.count);
        assert_ne!(rules.mark, beside.mark);
        let moved = Exemption { service: "10.0.0.10:80".parse().unwrap(), ..exemption() };
        assert_ne!(rules.mark, moved.rules(false).mark);
    }

    #[test]
    fn interfaces_have_tables_of_their_own() {
        let names = ["eth0", "eth0.1", "eth0_1", "eth0-1", "eth01"].map(table_name);
        assert!(names.iter().enumerate().all(|(i, name)| !names[..i].contains(name)), "{names:?}");
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')), "{names:?}");
    }
}
