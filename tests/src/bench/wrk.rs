//! The load: wrk, 32 connections on one thread.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::netns::Namespace;

const CONNECTIONS: u32 = 32;
/// For wrk to end, beyond the time of the load.
const GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connections {
    PerRequest,
    Kept,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Answers with a status other than 2xx or 3xx.
    pub(super) not_2xx: u64,
    /// Connections refused or broken, and time-outs.
    pub(super) errors: u64,
}

pub(super) fn run(client: &Namespace, url: &str, connections: Connections, time: Duration) -> Result<Outcome> {
    let mut command = client.command("wrk");
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", time.as_secs())]);
    if connections == Connections::PerRequest {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(url).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start wrk (Debian: wrk)")?;
    let deadline = Instant::now() + time + GRACE;
    // What it prints fits a pipe, so it does not wait for us.
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            bail!("wrk has not ended {} s after its load", GRACE.as_secs());
        }
        std::thread::sleep(POLL);
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("wrk, {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Reads wrk's summary; `None` if it is none.
fn parse(text: &str) -> Option<Outcome> {
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let errors = match after("Socket errors:") {
        None => 0,
        Some(kinds) => {
            kinds.split(',').map(|kind| kind.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<Option<u64>>()?
        }
    };
    Some(Outcome {
        requests,
        per_second: after("Requests/sec:")?.parse().ok()?,
        not_2xx: after("Non-2xx or 3xx responses:").map_or(Some(0), |n| n.parse().ok())?,
        errors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "Running 2s test @ http://10.92.0.1/function/figlet
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.17ms    1.60ms  31.74ms   89.53%
    Req/Sec    22.90k     3.10k   28.12k    60.00%
  45565 requests in 2.00s, 5.35MB read
Requests/sec:  22781.37
Transfer/sec:      2.67MB
";

    #[test]
    fn a_summary_without_troubles_is_read() {
        let want = Outcome { requests: 45565, per_second: 22781.37, not_2xx: 0, errors: 0 };
        assert_eq!(parse(PLAIN), Some(want));
    }

    #[test]
    fn refusals_and_errors_are_counted() {
        let text = PLAIN.replace(
            "Requests/sec",
            "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 45565\nRequests/sec",
        );
        let outcome = parse(&text).unwrap();
        assert_eq!((outcome.not_2xx, outcome.errors), (45565, 4321));
    }

    #[test]
    fn anything_else_is_no_summary() {
        assert_eq!(parse("unable to connect to 10.92.0.1:80 Connection refused\n"), None);
        assert_eq!(parse(&PLAIN.replace("45565", "many")), None);
    }
}
