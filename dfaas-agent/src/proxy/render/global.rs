//! Sections about the process, its rate tables, the exporter and the defaults.

use std::time::Duration;

use super::{Text, frontend::bind};
use crate::{
    decision::Decision,
    proxy::{settings::ProxySettings, tables::Count},
};

const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// HAProxy's timers end at 24 days; a call of more than a day is not a function call.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);
/// Rows kept free for functions and peers whose names came and went.
const SPARE_ROWS: usize = 1_000;

pub(super) fn render(text: &mut Text, settings: &ProxySettings, decision: &Decision, stamp: &str) {
    let longest = decision.functions.values().map(|f| server_timeout(f.timeout)).max().unwrap_or(DEFAULT_TIMEOUT);
    let mut owner = String::new();
    text.section("global");
    text.line("default-path config");
    text.line(format!("description {stamp}"));
    text.line("localpeer self");
    if let Some((user, group)) = &settings.user {
        text.line(format!("user {user}"));
        text.line(format!("group {group}"));
        owner = format!(" user {user}");
    }
    // State changes only, never requests: no frontend logs.
    text.line("log stdout format raw daemon notice");
    text.line(format!(
        "stats socket unix@{} mode 600 level admin expose-fd listeners",
        settings.runtime_socket().display()
    ));
    text.line("stats timeout 10s");
    // A structure that changes every second must not pile up workers.
    text.line("mworker-max-reloads 20");
    let slack = Duration::from_secs(10);
    text.line(format!("hard-stop-after {}ms", longest.max(DEFAULT_TIMEOUT).saturating_add(slack).as_millis()));

    // These tables move to the new worker on a reload, so that a reload grants nobody a fresh second.
    let functions = decision.functions.len();
    let rows = functions * (decision.peers.len() + 1) + SPARE_ROWS;
    text.section("peers tables");
    text.line(format!("bind unix@{} mode 600{owner}", settings.tables_socket().display()));
    text.line("server self");
    text.line(format!(
        "table st_local type string len 64 size {} expire 1m store http_req_rate(1s)",
        functions + SPARE_ROWS
    ));
    text.line(format!("table st_peers type string len 130 size {rows} expire 1m store http_req_rate(1s)"));
    // Rows end in the pid of the worker that counts in them: what the old worker pushes never overwrites what
    // the new one has counted.
    text.line(format!("table st_calls type string len 144 size {} expire 1h store gpc({})", 8 * rows, Count::LEN));

    defaults(text);
    if let Some(exporter) = settings.exporter {
        text.section("frontend fe_metrics");
        text.line(bind(exporter));
        text.line("http-request use-service prometheus-exporter if { path /metrics }");
        text.line("http-request return status 404");
    }
}

fn defaults(text: &mut Text) {
    text.section("defaults");
    text.line("mode http");
    text.line("timeout connect 3s");
    text.line("timeout client 60s");
    text.line("timeout server 60s");
    text.line("timeout http-request 10s");
    text.line("timeout http-keep-alive 60s");
    text.line("option forwardfor");
    // Without it a reload closes idle connections under the hands of clients about to use them.
    text.line("option idle-close-on-response");
    text.line("http-reuse safe");
    // Only what never reached a server is repeated: functions may not be idempotent, and repeating on a status
    // needs the whole body in a buffer (and 429 is no such status before HAProxy 3).
    text.line("retries 1");
    text.line("retry-on conn-failure");
    text.line("option redispatch 1");
}

/// How long a server may be silent: the function's own limit and a second, so that its own answer wins.
pub(crate) fn server_timeout(label: Option<Duration>) -> Duration {
    match label {
        None => DEFAULT_TIMEOUT,
        Some(label) => label.min(LONGEST_TIMEOUT) + Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decision::{FunctionTable, Shape, Weights},
        proxy::{render, settings::example},
    };

    /// The original writes Go's `1m30s`, of which HAProxy understands the first part alone (docs/compatibility.md, B18).
    #[test]
    fn a_time_is_one_number_with_one_unit() {
        let table = FunctionTable {
            deployed: true,
            local_limit: None,
            shape: Shape::LocalFirst,
            weights: Weights::default(),
            limits_out: [].into(),
            limits_in: [].into(),
            timeout: Some(Duration::from_millis(90_500)),
        };
        let decision = Decision { functions: [("f".parse().unwrap(), table)].into(), ..Decision::default() };
        let text = render(&example(), &decision).config;
        assert!(text.contains("timeout server 91500ms\n"), "{text}");
        let is_time = |word: &&str| {
            // The name of the node starts with a digit, too.
            if word.contains(|c: char| c.is_ascii_uppercase()) {
                return false;
            }
            let number = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
            number.len() < word.len() && number.starts_with(|c: char| c.is_ascii_digit())
        };
        let times: Vec<&str> = text.split_whitespace().filter(is_time).collect();
        assert!(times.len() > 10, "{times:?}");
        let is_plain = |word: &str| {
            let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
            ["ms", "s", "m", "h"].contains(&unit)
        };
        assert!(times.iter().all(|word| is_plain(word)), "{times:?}");
    }
}
