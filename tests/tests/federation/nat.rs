//! Nodes beside the firewall rules that real hosts have: NAT, hardened filters, rule sets that are loaded again.

use std::{io::Write as _, process::Stdio, thread, time::Duration};

use dfaas_agent::kernel::mode::Mode;
use dfaas_tests::{
    client::{Answer, Call, Connections, Load, Running},
    federation::Functions,
};

use crate::{Bed, SETTLE};

/// A rule set, as a shell script for the namespace of a node.
struct Rules {
    name: &'static str,
    script: &'static str,
}

const RULES: &[Rules] = &[
    Rules {
        name: "masquerading by iptables",
        script: "iptables-nft -t nat -A POSTROUTING -s 10.62.0.0/16 ! -d 10.62.0.0/16 -j MASQUERADE",
    },
    Rules {
        name: "masquerading by nftables, of everything",
        script: "nft -f - <<'END'
            table ip nat { chain out { type nat hook postrouting priority 100; oifname eth0 masquerade; }
            }\nEND",
    },
    Rules {
        name: "an address translation of another port",
        script: "iptables-nft -t nat -A PREROUTING -p tcp --dport 8081 -j DNAT --to-destination 10.62.0.2:8080",
    },
    Rules {
        name: "the chains of Docker",
        script: "set -e
            iptables-nft -t nat -N DOCKER
            iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
            iptables-nft -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
            iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
            iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp --dport 5000 -j DNAT --to-destination 172.17.0.2:80
            iptables-nft -P FORWARD DROP
            iptables-nft -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    },
    Rules {
        name: "no packets of an invalid state, and none picked up",
        script: "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0; nft -f - <<'END'
            table inet filter {
                chain in { type filter hook input priority 0; ct state invalid drop; }
                chain out { type filter hook output priority 0; ct state invalid drop; }
            }\nEND",
    },
    Rules {
        name: "no new connections without a SYN",
        script: "nft -f - <<'END'
            table inet filter { chain in { type filter hook input priority 0;
                tcp flags & (fin|syn|rst|ack) != syn ct state new drop; }
            }\nEND",
    },
    Rules {
        name: "a filter that lets the service in",
        script: "nft -f - <<'END'
            table inet filter { chain in { type filter hook input priority 0; policy drop;
                ct state established,related accept
                ct state invalid drop
                iifname lo accept
                ip protocol icmp accept
                tcp dport { 80, 30080, 31600 } accept
                udp dport 6081 accept
                ip daddr 169.254.64.0/18 accept; }
            }\nEND",
    },
    // Last: these tables stay for the life of the namespace.
    Rules {
        name: "masquerading by the old iptables",
        script: "iptables-legacy -t nat -A POSTROUTING -s 10.62.0.0/16 -j MASQUERADE",
    },
];

/// Runs a shell script in the namespace of a node.
fn sh(bed: &Bed, i: usize, script: &str) -> String {
    let mut shell = bed.host(i).namespace.command("sh");
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program that loads its own rules does: everything of others goes.
fn flush(bed: &Bed, i: usize) {
    sh(bed, i, "nft flush ruleset");
}

/// Two nodes. Calls of `figlet` are served by n1, those of `shasum` by n2 after n1 has handed them over.
fn bed(mode: Mode, more: &[(&str, &str)]) -> Bed {
    Bed::new(|options| {
        options.nodes = 2;
        options.mode = mode;
        options.functions = Functions::Lasting;
        options.rate_limits = vec![500];
        options.rate_limits_of.insert("shasum".to_owned(), vec![0, 500]);
        options.settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    })
}

fn figlet(bed: &Bed) -> Call {
    Call::post(bed.url(0, "/function/figlet"), "hello").timeout(Duration::from_secs(5))
}

fn shasum(bed: &Bed) -> Call {
    Call::post(bed.url(0, "/function/shasum"), vec![b'x'; 20_000]).timeout(Duration::from_secs(5))
}

fn assert_served(bed: &Bed, what: &str) {
    for (call, server) in [(figlet(bed), "n1"), (shasum(bed), "n2")] {
        for n in 0..5 {
            let answer =
                call.send(&bed.from()).unwrap_or_else(|error| panic!("{what}, call {n} to {server}: {error:#}"));
            assert_eq!((answer.status, bed.server(&answer)), (200, Some(server)), "{what}, call {n}");
        }
    }
}

fn load(bed: &Bed, call: Call) -> Running {
    Load { call, rate: 20.0, duration: None, connections: Connections::PerCall }.start(&bed.from()).unwrap()
}

/// Puts one rule set after the other on both nodes of a running federation.
fn all_calls_are_answered(mode: Mode) {
    let bed = bed(mode, &[]);
    let loads = [load(&bed, figlet(&bed)), load(&bed, shasum(&bed))];
    for rules in RULES {
        (0..2).for_each(|i| drop(sh(&bed, i, rules.script)));
        assert_served(&bed, rules.name);
        // Some calls of both loads, however quick the machine is.
        thread::sleep(Duration::from_millis(500));
        let statuses = bed.statuses().unwrap();
        assert!(statuses.iter().all(|(_, status)| status.kernel.mode == mode), "{}", rules.name);
        let unwell = |component: &dfaas_agent::status::Component| component.kind == "firewall" && !component.healthy;
        assert!(!statuses.iter().any(|(_, status)| status.components().iter().any(unwell)), "{}", rules.name);
        // Whatever is not ours goes, as with a restart of that other program.
        let others = "for t in $(nft list tables | awk '$3 !~ /^dfaas_/ {print $2 \"/\" $3}'); do
            nft delete table ${t%/*} ${t#*/}; done; sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1 || true";
        (0..2).for_each(|i| drop(sh(&bed, i, others)));
    }
    for load in loads {
        let tally = load.stop().unwrap();
        let total = tally.total();
        assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, tally.troubles());
        assert!(total.calls() >= 20, "only {} calls", total.calls());
    }
    bed.stop();
}

#[test]
fn no_rule_set_that_comes_costs_a_placed_call() {
    all_calls_are_answered(Mode::Handoff);
}

#[test]
fn no_rule_set_that_comes_costs_a_call_where_the_kernel_only_counts() {
    all_calls_are_answered(Mode::Observe);
}

#[test]
fn rules_that_were_there_before_the_agent_cost_no_call() {
    let mut bed = bed(Mode::Handoff, &[]);
    (0..2).for_each(|i| bed.stop_agent(i).unwrap());
    for rules in RULES {
        (0..2).for_each(|i| drop(sh(&bed, i, rules.script)));
        (0..2).for_each(|i| bed.start_agent(i).unwrap());
        (0..2).for_each(|i| bed.wait_ready(i).unwrap());
        bed.wait_settled(SETTLE).unwrap();
        assert_served(&bed, rules.name);
        (0..2).for_each(|i| bed.stop_agent(i).unwrap());
        (0..2).for_each(|i| flush(&bed, i));
    }
}

#[test]
fn a_rule_set_that_is_loaded_again_gets_the_exemption_back() {
    let bed = bed(Mode::Handoff, &[]);
    for i in 0..2 {
        sh(
            &bed,
            i,
            "printf 'flush ruleset\\ntable ip nat { chain out { type nat hook postrouting priority 100; \
            oifname eth0 masquerade; }\\n}\\n' | nft -f -",
        );
    }
    bed.wait_until(SETTLE, |statuses| {
        let bare = statuses.iter().find(|(_, status)| {
            let firewall = status.kernel.firewall.as_ref();
            firewall.is_none_or(|firewall| !firewall.detail.contains("put back"))
        });
        bare.map(|(name, status)| format!("{name}: {:?}", status.kernel.firewall))
    })
    .unwrap();
    assert_served(&bed, "after the flush");
    bed.stop();
}

#[test]
fn a_port_that_is_redirected_to_the_service_is_served_too() {
    let bed = bed(Mode::Handoff, &[]);
    let address = bed.nodes[0].address;
    sh(
        &bed,
        0,
        &format!("iptables-nft -t nat -A PREROUTING -p tcp --dport 8082 -j DNAT --to-destination {address}:80"),
    );
    let call = Call::post(format!("http://{address}:8082/function/figlet"), "hello").timeout(Duration::from_secs(5));
    // The agent hears of the rule and makes room for its connections.
    bed.wait_until(SETTLE, |_| {
        let status = call.send(&bed.from()).map(|answer: Answer| answer.status);
        (!matches!(status, Ok(200))).then(|| format!("{status:?}"))
    })
    .unwrap();
    for n in 0..10 {
        let answer = call.send(&bed.from()).unwrap_or_else(|error| panic!("call {n}: {error:#}"));
        assert_eq!(answer.status, 200, "call {n}");
    }
    assert_served(&bed, "beside the redirected port");
    bed.stop();
}

#[test]
fn a_node_without_nft_falls_back_as_soon_as_nat_would_reset_its_calls() {
    let bed = bed(Mode::Handoff, &[("AGENT_MODE", "auto"), ("AGENT_NFT_BINARY", "/nonexistent/nft")]);
    let detail = |bed: &Bed| bed.status(0).unwrap().kernel.firewall.map(|f| f.detail).unwrap_or_default();
    assert!(detail(&bed).contains("install nftables"), "{}", detail(&bed));
    assert_served(&bed, "before the rule");
    sh(&bed, 0, "iptables-nft -t nat -A POSTROUTING -s 10.62.0.0/16 -j MASQUERADE");
    observes(&bed, 0, "NAT");
    assert_served(&bed, "after the rule");
    bed.stop();
}

/// Waits until a node has left `handoff` for this reason.
fn observes(bed: &Bed, i: usize, reason: &str) {
    bed.wait_until(SETTLE, |statuses| {
        let kernel = &statuses[i].1.kernel;
        let as_expected = kernel.mode == Mode::Observe && kernel.why.iter().any(|why| why.contains(reason));
        (!as_expected).then(|| format!("mode {}, because {:?}", kernel.mode, kernel.why))
    })
    .unwrap();
}

#[test]
fn with_check_the_exact_command_is_told_and_does() {
    let mut bed = bed(Mode::Handoff, &[("AGENT_FIREWALL", "check")]);
    assert!(!sh(&bed, 0, "nft list tables").contains("dfaas"));
    let detail = bed.status(0).unwrap().kernel.firewall.unwrap().detail;
    let command = detail.split('`').find(|part| part.starts_with("nft -f ")).unwrap_or_else(|| panic!("{detail}"));
    sh(&bed, 0, command);
    sh(&bed, 1, "nft -f /run/none || true");
    let command = bed.status(1).unwrap().kernel.firewall.unwrap().detail;
    sh(&bed, 1, command.split('`').find(|part| part.starts_with("nft -f ")).unwrap());
    (0..2).for_each(|i| drop(sh(&bed, i, RULES[0].script)));
    bed.stop_agent(0).unwrap();
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.wait_settled(SETTLE).unwrap();
    assert_served(&bed, "by hand");
}

#[test]
fn a_filter_that_drops_untracked_packets_is_found_and_the_node_falls_back() {
    let bed = bed(Mode::Handoff, &[("AGENT_MODE", "auto")]);
    sh(
        &bed,
        0,
        "nft -f - <<'END'
        table inet filter { chain in { type filter hook input priority 0; policy drop;
            ct state established,related accept
            iifname lo accept
            tcp dport { 80, 30080, 31600 } ct state new accept; }
        }\nEND",
    );
    let load = load(&bed, figlet(&bed));
    observes(&bed, 0, "ct state untracked");
    drop(load.stop());
    assert_served(&bed, "in mode observe");
    bed.stop();
}

#[test]
fn the_table_goes_with_the_kernel_path() {
    let mut bed = bed(Mode::Handoff, &[]);
    assert!(sh(&bed, 0, "nft list tables").contains("dfaas_eth0"));
    bed.stop_agent(0).unwrap();
    assert_eq!(sh(&bed, 0, "nft list tables"), "");
    // A crash leaves it, the next agent in another mode takes it away.
    bed.kill_agent(1).unwrap();
    assert!(sh(&bed, 1, "nft list tables").contains("dfaas_eth0"));
    thread::sleep(Duration::from_secs(1));
    bed.start_agent(1).unwrap();
    bed.wait_ready(1).unwrap();
    assert!(sh(&bed, 1, "nft list tables").contains("dfaas_eth0"));
}
