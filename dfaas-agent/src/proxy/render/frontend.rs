//! Frontends: who may call what, and where the call goes. The rules are the same for all functions; what
//! differs is looked up in maps, so that adding traffic never adds rules.

use std::net::SocketAddr;

use super::Text;
use crate::{
    proxy::{
        settings::ProxySettings,
        stage,
        tables::{Count, GATEWAY, NO_FUNCTION, SLOT_STEP, SLOTS},
    },
    request_rules,
};

const FROM_NODE: &str = "{ req.fhdr_cnt(DFaaS-Node-ID) gt 0 }";
const ROUTED: &str = "{ var(txn.route) -m found }";
const LOCAL: &str = "{ var(txn.route) -m str local }";
const PEERS: &str = "{ var(txn.route) -m str peers }";
const PEERS_USABLE: &str = "{ var(txn.name),map_str_int(peers_usable.map,0) gt 0 }";
const BELOW_LIMIT: &str = "{ var(txn.local_rate),sub(txn.local_limit) lt 0 }";

pub(super) fn render(text: &mut Text, settings: &ProxySettings) {
    text.section("frontend fe_service");
    for address in &settings.service {
        text.line(bind(*address));
    }
    steering_frontend(text, settings, false);
    if let Some(address) = settings.placed {
        text.section("frontend fe_placed");
        text.line(bind(address));
        // A connection that the kernel has placed is to what the client called; one from a process of this machine, which
        // could go past the limits here, is to the listener's own address.
        if let Some(called) = settings.placed_for {
            let (address, port) = (called.ip(), called.port());
            text.line(format!("tcp-request connection reject unless {{ dst {address} }} {{ dst_port {port} }}"));
        }
        // On HTTP/2 every request would count as the first of its connection.
        text.line("option disable-h2-upgrade");
        // A full node lets go of the client, so that the kernel places its next request.
        text.line(
            "http-after-response set-header Connection close \
             if { var(txn.name),table_http_req_rate(tables/st_local),sub(txn.local_limit) ge 0 }",
        );
        steering_frontend(text, settings, true);
    }
    if let Some(address) = settings.handoff {
        handoff_frontend(text, address, settings.sticky);
    }
}

/// An IPv6 wildcard must not take the IPv4 port too: the IPv4 address is listed by itself.
pub(super) fn bind(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => format!("bind {address}"),
        SocketAddr::V6(address) => format!("bind {address} v6only"),
    }
}

fn steering_frontend(text: &mut Text, settings: &ProxySettings, placed: bool) {
    text.line(
        r#"http-request return status 200 content-type text/plain string "ok\n" if METH_GET { path / /healthz }"#,
    );
    function_name(text);
    check_sender(text);
    function_limit(text);
    gateway_state(text);
    if settings.stages {
        for rule in stage::rules() {
            text.line(rule);
        }
    }
    text.line(format!(r#"http-request set-var-fmt(txn.row) "%[var(txn.name)]@%pid" unless {FROM_NODE}"#));
    text.line(format!(r#"http-request set-var-fmt(txn.pair) "%[var(txn.name)],%[var(txn.peer)]" if {FROM_NODE}"#));
    text.line(format!(r#"http-request set-var-fmt(txn.row) "%[var(txn.pair)]@%pid" if {FROM_NODE}"#));
    text.line("http-request track-sc0 var(txn.row) table tables/st_calls");
    peer_call(text);
    client_call(text, placed);
    local_counts(text);
    text.line(format!("use_backend peers:%[var(txn.name)] if {PEERS}"));
}

/// `/function/<name>`, ended by `/` or the end of the path, of a request that breaks no rule.
fn function_name(text: &mut Text) {
    text.line(format!(r#"http-request set-var-fmt(txn.row) "{NO_FUNCTION}@%pid""#));
    refuse(text, 403, Count::Forbidden, "unless { path_beg /function/ }");
    for (variable, expression) in request_rules::HAPROXY_VARIABLES {
        text.line(format!("http-request set-var({variable}) {expression}"));
    }
    for rule in &request_rules::RULES {
        if let Some(condition) = rule.haproxy {
            let answer = format!(r#"content-type text/plain string "{}\n""#, rule.text);
            refuse_with(text, (rule.status, &answer), Count::Forbidden, &format!("if {condition}"));
        }
    }
    text.line(format!("http-request del-header {}", request_rules::DROPPED_HEADER));
    text.line("http-request set-var(txn.name) path,field(3,/)");
}

fn function_limit(text: &mut Text) {
    text.line("http-request set-var(txn.local_limit) var(txn.name),map_str_int(local_limit.map)");
    refuse(text, 404, Count::Unknown, "unless { var(txn.local_limit) -m found }");
}

/// Defines `gateway_up`. A worker that a reload replaces counts no server as usable, though its last calls still reach it.
fn gateway_state(text: &mut Text) {
    text.line(format!("acl gateway_up nbsrv({GATEWAY}) gt 0"));
    text.line("acl gateway_up stopping");
}

/// Who says to be a node must be a known one and call from one of its addresses.
fn check_sender(text: &mut Text) {
    text.line(format!("http-request set-var(txn.peer) req.fhdr(DFaaS-Node-ID) if {FROM_NODE}"));
    text.line(format!(r#"http-request set-var-fmt(txn.origin) "%[var(txn.peer)]@%[src]" if {FROM_NODE}"#));
    refuse(text, 403, Count::Forbidden, "if { req.fhdr_cnt(DFaaS-Node-ID) gt 1 }");
    let unknown = format!("if {FROM_NODE} !{{ var(txn.origin),map_str(peer_address.map) -m found }}");
    refuse(text, 403, Count::Forbidden, &unknown);
}

/// A peer's call: within its grant it is served here, and never forwarded again.
fn peer_call(text: &mut Text) {
    text.line(count(Count::FromPeer, &format!("if {FROM_NODE}")));
    text.line(format!("http-request set-var(txn.grant) var(txn.pair),map_str_int(peer_limit.map,0) if {FROM_NODE}"));
    text.line(format!(
        "http-request set-var(txn.spent) var(txn.pair),table_http_req_rate(tables/st_peers) if {FROM_NODE}"
    ));
    refuse(text, 503, Count::RefusedGrant, &format!("if {FROM_NODE} !gateway_up"));
    let granted = "{ var(txn.spent),sub(txn.grant) lt 0 } { var(txn.local_limit) -m int ge 0 }";
    text.line(format!("http-request set-var(txn.route) str(local) if {FROM_NODE} {granted}"));
    refuse(text, 429, Count::RefusedGrant, &format!("if {FROM_NODE} !{ROUTED}"));
    text.line(format!("http-request track-sc2 var(txn.pair) table tables/st_peers if {FROM_NODE}"));
}

/// A client's call: its slot says refusal, this node or the peers; who cannot take it passes it on. While the gateway is
/// down, this node takes none.
fn client_call(text: &mut Text, placed: bool) {
    if placed {
        text.line(count(Count::PlacedKept, &format!("if !{FROM_NODE} !{{ http_first_req }}")));
        text.line(format!(
            "http-request set-var(txn.route) str(local) \
             if !{FROM_NODE} {{ http_first_req }} {{ var(txn.local_limit) -m int ge 0 }} gateway_up"
        ));
        text.line(count(Count::PlacedFirst, &format!("if !{FROM_NODE} {{ http_first_req }} {LOCAL}")));
    } else {
        text.line(count(Count::Service, &format!("unless {FROM_NODE}")));
    }
    let slot = Count::Slot.index();
    let unless_routed = format!("unless {ROUTED}");
    for set in [
        format!("set-var(txn.slot) sc_inc_gpc({slot},0),mul({SLOT_STEP}),mod({SLOTS})"),
        "set-var(txn.reject_below) var(txn.name),map_str_int(reject_below.map,0)".to_owned(),
        "set-var(txn.local_below) var(txn.name),map_str_int(local_below.map,0)".to_owned(),
        "set-var(txn.local_rate) var(txn.name),table_http_req_rate(tables/st_local)".to_owned(),
        "set-var(txn.peers) str(peers:),concat(,txn.name),nbsrv".to_owned(),
    ] {
        text.line(format!("http-request {set} {unless_routed}"));
    }
    let refused_slot = format!("if !{ROUTED} {{ var(txn.slot),sub(txn.reject_below) lt 0 }}");
    refuse(text, 429, Count::RefusedSaturated, &refused_slot);
    for (target, condition) in [
        ("local", format!("{{ var(txn.slot),sub(txn.local_below) lt 0 }} {BELOW_LIMIT} gateway_up")),
        ("peers", format!("{PEERS_USABLE} {{ var(txn.peers) -m int gt 0 }}")),
        // A worker that a reload replaces counts no server as usable, though its last calls still reach them.
        ("peers", format!("{PEERS_USABLE} {{ stopping }}")),
        // The peers' share falls to this node while they are down, if it has a share at all.
        ("local", format!("{{ var(txn.local_below),sub(txn.reject_below) gt 0 }} {BELOW_LIMIT} gateway_up")),
    ] {
        text.line(format!("http-request set-var(txn.route) str({target}) if !{ROUTED} {condition}"));
    }
    refuse(text, 503, Count::RefusedSaturated, &format!("if !{ROUTED} !gateway_up"));
    refuse(text, 429, Count::RefusedSaturated, &unless_routed);
}

/// Connections handed off by a peer's kernel: the alias they were sent to names the peer. Served here or not at
/// all, and closed after the answer so that shares stay exact, unless the operator wants them to stay.
fn handoff_frontend(text: &mut Text, address: SocketAddr, sticky: bool) {
    text.section("frontend fe_handoff");
    text.line(bind(address));
    text.line("option disable-h2-upgrade");
    if !sticky {
        text.line("option httpclose");
    }
    function_name(text);
    refuse(text, 403, Count::Forbidden, &format!("if {FROM_NODE}"));
    text.line("http-request set-var(txn.peer) dst,map_ip(peer_alias.map)");
    refuse(text, 403, Count::Forbidden, "unless { var(txn.peer) -m found }");
    function_limit(text);
    gateway_state(text);
    text.line(r#"http-request set-var-fmt(txn.pair) "%[var(txn.name)],%[var(txn.peer)]""#);
    text.line(r#"http-request set-var-fmt(txn.row) "%[var(txn.pair)]@%pid""#);
    text.line("http-request track-sc0 var(txn.row) table tables/st_calls");
    text.line(count(Count::HandedOff, ""));
    refuse(text, 429, Count::RefusedSaturated, "if { var(txn.local_limit) -m int lt 0 }");
    refuse(text, 503, Count::RefusedSaturated, "unless gateway_up");
    if sticky {
        further_call(text);
    }
    text.line("http-request track-sc2 var(txn.pair) table tables/st_peers");
    text.line("http-request set-var(txn.route) str(local)");
    local_counts(text);
}

/// The kernel has judged the first call of a connection that stays; each further one must be within the grant and the node's own
/// limit too. What is over lets go of the client, so that its next call is placed anew.
fn further_call(text: &mut Text) {
    let further = "!{ http_first_req }";
    for set in [
        "set-var(txn.grant) var(txn.pair),map_str_int(peer_limit.map,0)",
        "set-var(txn.spent) var(txn.pair),table_http_req_rate(tables/st_peers)",
        "set-var(txn.local_rate) var(txn.name),table_http_req_rate(tables/st_local)",
    ] {
        text.line(format!("http-request {set} if {further}"));
    }
    text.line("http-after-response set-header Connection close if { status 429 }");
    let granted = "{ var(txn.spent),sub(txn.grant) lt 0 }";
    refuse(text, 429, Count::RefusedGrant, &format!("if {further} !{granted}"));
    refuse(text, 429, Count::RefusedSaturated, &format!("if {further} !{BELOW_LIMIT}"));
}

fn local_counts(text: &mut Text) {
    text.line(format!("http-request track-sc1 var(txn.name) table tables/st_local if {LOCAL}"));
    text.line(count(Count::ServedLocal, &format!("if {LOCAL}")));
    text.line(format!("use_backend local:%[var(txn.name)] if {LOCAL}"));
}

fn count(count: Count, condition: &str) -> String {
    format!("http-request sc-inc-gpc({},0) {condition}", count.index()).trim_end().to_owned()
}

fn refuse(text: &mut Text, status: u16, reason: Count, condition: &str) {
    let answer = match status {
        429 => r#"content-type application/json string "{\"error\":\"node saturated\"}\n" hdr Retry-After 1"#,
        503 => r#"content-type application/json string "{\"error\":\"functions unavailable\"}\n" hdr Retry-After 1"#,
        404 => r#"content-type text/plain string "unknown function\n""#,
        _ => r#"content-type text/plain string "forbidden\n""#,
    };
    refuse_with(text, (status, answer), reason, condition);
}

fn refuse_with(text: &mut Text, (status, answer): (u16, &str), reason: Count, condition: &str) {
    // Takes effect only where the row of a function is not tracked yet.
    text.line(format!("http-request track-sc0 var(txn.row) table tables/st_calls {condition}"));
    text.line(count(reason, condition));
    text.line(format!("http-request return status {status} {answer} {condition}"));
}
