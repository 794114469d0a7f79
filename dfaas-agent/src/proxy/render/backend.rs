//! Backends: per function this node and its peers; once for all the health checks of the gateway and the peers.

use super::{Text, global::server_timeout, peers, values::Values};
use crate::{
    decision::Decision,
    name::Host,
    proxy::{
        settings::ProxySettings,
        tables::{CHECKS, Count, GATEWAY, local_backend, peers_backend},
    },
};

const ANSWERED_WELL: &str = "if { status 200:299 }";

pub(super) fn render(text: &mut Text, settings: &ProxySettings, decision: &Decision, values: &Values) {
    for (function, table) in &decision.functions {
        let timeout = format!("timeout server {}ms", server_timeout(table.timeout).as_millis());
        text.section(format!("backend {}", local_backend(function)));
        text.line(&timeout);
        text.line(format!("http-response set-header X-Server {}", settings.host));
        text.line(format!("http-response set-header DFaaS-Node-ID {}", settings.node));
        text.line(format!("http-response sc-inc-gpc({},0) {ANSWERED_WELL}", Count::ServedWell.index()));
        text.line(format!("server gateway {} track {GATEWAY}/{GATEWAY}", gateway_address(settings)));

        if peers(settings, decision).next().is_none() {
            continue;
        }
        text.section(format!("backend {}", peers_backend(function)));
        text.line(&timeout);
        text.line("balance roundrobin");
        text.line(format!("http-request set-header DFaaS-Node-ID {}", settings.node));
        text.line("http-response set-header X-Server %[srv_name,map_str(peer_host.map)]");
        text.line("http-response set-header DFaaS-Forwarded-To %[srv_name]");
        text.line(format!(r#"http-response set-var-fmt(txn.row) "{function}>%[srv_name]@%pid""#));
        text.line("http-response track-sc2 var(txn.row) table tables/st_calls");
        text.line(format!("http-response sc-inc-gpc({},2)", Count::Sent.index()));
        text.line(format!("http-response sc-inc-gpc({},2) {ANSWERED_WELL}", Count::SentWell.index()));
        for (id, peer) in peers(settings, decision) {
            let weight = values.weight(function, id);
            let address = peer.proxy;
            text.line(format!("server {id} {address} weight {weight} track {CHECKS}/{id}"));
        }
    }
    gateway_check(text, settings);
    checks(text, settings, decision);
}

/// A dead gateway refuses connections and is down after 1.5 s at most. One that is merely slow stays up: only a connection
/// is asked for, with the patience of a call, three times; errors of calls say nothing about it, functions make them too.
fn gateway_check(text: &mut Text, settings: &ProxySettings) {
    text.section(format!("backend {GATEWAY}"));
    text.line("log global");
    let check = "check inter 1s fastinter 250ms downinter 250ms fall 3 rise 1";
    text.line(format!("server {GATEWAY} {} {check}", gateway_address(settings)));
}

fn gateway_address(settings: &ProxySettings) -> String {
    server_address(&settings.gateway_host, settings.gateway_port)
}

fn checks(text: &mut Text, settings: &ProxySettings, decision: &Decision) {
    if peers(settings, decision).next().is_none() {
        return;
    }
    text.section(format!("backend {CHECKS}"));
    text.line("log global");
    text.line("option httpchk GET /healthz");
    // A node of the original refuses its own health path with 403, which proves that it is alive.
    text.line("http-check expect status 200-499");
    text.line("timeout check 2s");
    for (id, peer) in peers(settings, decision) {
        text.line(format!("server {id} {} check inter 2s fastinter 500ms fall 2 rise 1", peer.proxy));
    }
}

/// A name that does not resolve leaves its server down instead of refusing the whole configuration.
fn server_address(host: &Host, port: u16) -> String {
    match host.as_str().parse() {
        Ok(std::net::IpAddr::V4(ip)) => format!("{ip}:{port}"),
        Ok(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port} init-addr last,libc,none"),
    }
}
