//! HAProxy as the original configures it, and as a function that costs little.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    bodies,
    calls::{BODIES, FORWARDED, REFUSED},
};
use crate::netns::Namespace;

const READY: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A running HAProxy; it ends with this value.
pub(super) struct Haproxy(Child);

impl Haproxy {
    /// Starts it and waits until it listens; the configuration goes to `file`.
    pub(super) fn start(namespace: &Namespace, file: &Path, text: &str) -> Result<Self> {
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        // Others may listen there already.
        let listeners = || Ok::<_, anyhow::Error>(namespace.run("ss -Hltn")?.lines().count());
        let before = listeners()?;
        let mut command = namespace.command("haproxy");
        let child = command.arg("-f").arg(file).stdout(Stdio::null()).spawn().context("cannot start HAProxy")?;
        let mut haproxy = Self(child);
        let deadline = Instant::now() + READY;
        while listeners()? <= before {
            let ended = haproxy.0.try_wait()?;
            ensure!(
                ended.is_none(),
                "HAProxy has ended with {}; its configuration:\n{text}",
                ended.unwrap_or_default()
            );
            ensure!(Instant::now() < deadline, "HAProxy does not listen after {} s", READY.as_secs());
            std::thread::sleep(POLL);
        }
        Ok(haproxy)
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const COMMON: &str = "\
global
    nbthread 1
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
";

/// Answers every call at once, but for those that the service with bodies answers.
pub(super) fn function(bind: &str) -> String {
    format!(
        "{COMMON}
frontend function
    bind {bind}
    http-request return status 200 content-type text/plain string ok unless {{ path_end {BODIES} }}
    default_backend bodies
backend bodies
    server bodies {}
",
        bodies::ADDRESS
    )
}

/// Gives every call to the service.
pub(super) fn service(bind: &str) -> String {
    format!("{COMMON}\nlisten service\n    bind {bind}\n    server service {}\n", bodies::ADDRESS)
}

/// The rules that the recalc strategy writes for a node whose peers have nothing left: up to the limit here, by its own
/// count of the last second; the rest is turned away.
pub(super) fn saturated(own: Ipv4Addr, limit: u32) -> String {
    format!(
        "{COMMON}    option http-server-close
    option forwardfor

backend users_{FORWARDED}
    stick-table type integer size 10 expire 60s store http_req_cnt,http_req_rate(1s)
backend local_{FORWARDED}
    stick-table type integer size 10 expire 60s store http_req_cnt,http_req_rate(1s)

frontend clients
    bind *:80
    acl forwarded req.hdr(DFaaS-Node-ID) -m found
    http-request deny deny_status 403 unless {{ path_beg /haproxy }} or {{ path /system/functions }} or {{ path_beg /function/ }}
    http-request track-sc1 dst_port table users_{FORWARDED} if {{ path_beg /function/{FORWARDED} }} !forwarded
    use_backend here if {{ path_beg /function/{FORWARDED} }} forwarded
    use_backend here if {{ path_beg /function/{FORWARDED} }} {{ dst_port,table_http_req_rate(local_{FORWARDED}) lt {limit} }}
    default_backend nobody

backend here
    http-request track-sc2 dst_port table local_{FORWARDED}
    http-request add-header DFaaS-Node-ID {OWN_ID}
    http-response set-header X-Server {own}
    server {own} {}

backend nobody
    http-request return status 503 content-type text/plain string saturated
",
        bodies::ADDRESS
    )
}

/// The rules that the original's recalc strategy writes for a node `own` with one peer, as facts of its behaviour: one
/// function that is over its limit and goes to the peer, one whose calls are refused. Left out, in HAProxy's favour: the
/// log and its captures, and threads that contend.
pub(super) fn original(own: Ipv4Addr, peer: Ipv4Addr) -> String {
    let functions = [FORWARDED, REFUSED];
    let tables = functions.map(|f| {
        ["users", "local", "peer"].map(|who| {
            format!(
                "backend {who}_{f}\n    stick-table type integer size 10 expire 60s store http_req_cnt,http_req_rate(1s)"
            )
        })
    });
    let tables = tables.as_flattened().join("\n");
    let track = functions.map(|f| {
        format!("    http-request track-sc1 dst_port table users_{f} if {{ path_beg /function/{f} }} !forwarded")
    });
    let track = track.join("\n");
    format!(
        "{COMMON}    option http-server-close
    option forwardfor

{tables}

frontend clients
    bind *:80
    acl forwarded req.hdr(DFaaS-Node-ID) -m found
    http-request deny deny_status 403 unless {{ path_beg /haproxy }} or {{ path /system/functions }} or {{ path_beg /function/ }}
{track}
    http-request deny deny_status 403 if forwarded !{{ req.hdr(DFaaS-Node-ID) -m str {PEER_ID} }}
    use_backend refuse if {{ path_beg /function/{FORWARDED} }} {{ req.hdr(DFaaS-Node-ID) -m str {PEER_ID} }} {{ dst_port,table_http_req_rate(peer_{FORWARDED}) ge 1 }}
    use_backend here if {{ path_beg /function/{FORWARDED} }} forwarded
    use_backend here if {{ path_beg /function/{FORWARDED} }} {{ dst_port,table_http_req_rate(local_{FORWARDED}) lt 0 }}
    use_backend peers if {{ path_beg /function/{FORWARDED} }} !forwarded {{ dst_port,table_http_req_rate(local_{FORWARDED}) ge 0 }}
    use_backend refuse if {{ path_beg /function/{REFUSED} }} {{ dst_port,table_http_req_rate(peer_{REFUSED}) ge 0 }}

backend here
    http-request track-sc2 dst_port table local_{FORWARDED}
    http-request add-header DFaaS-Node-ID {OWN_ID}
    http-response set-header X-Server {own}
    server {own} 127.0.0.1:8080

backend peers
    balance roundrobin
    option httpchk GET /
    http-request add-header DFaaS-Node-ID {OWN_ID}
    http-response set-header X-Server %s
    server {peer} {peer}:80 weight 100 check

backend refuse
    http-request deny deny_status 429
"
    )
}

const OWN_ID: &str = "12D3KooWBsMkQ7bTVZUbdSpUVjRaCjwwXbBNP1THhWqFxvZbHYfF";
const PEER_ID: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxy_accepts_the_configurations() {
        let directory = tempfile::tempdir().unwrap();
        let own = Ipv4Addr::new(192, 0, 2, 1);
        let peer = Ipv4Addr::new(192, 0, 2, 2);
        let (own_rules, bind) = ([original(own, peer), saturated(own, 300)], "127.0.0.1:10081");
        for text in own_rules.into_iter().chain([function(bind), service(bind)]) {
            let file = directory.path().join("haproxy.cfg");
            fs::write(&file, &text).unwrap();
            let output = std::process::Command::new("haproxy").args(["-c", "-f"]).arg(&file).output().unwrap();
            assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
