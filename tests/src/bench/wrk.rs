//! The load at saturation: wrk, 32 connections on one thread.

use std::{
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::cpu;
use crate::netns::Namespace;

const CONNECTIONS: u32 = 32;
pub(super) const LARGE_BYTES: usize = 1 << 20;
const LARGE_CONNECTIONS: u32 = 4;
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
    /// Of all answers with their heads.
    pub(super) read_bytes: f64,
    /// What wrk itself has cost.
    pub(super) cpu_ns: u64,
}

/// What wrk is to do.
#[derive(Clone, Debug)]
pub(super) struct Load<'a> {
    pub(super) url: &'a str,
    pub(super) connections: Connections,
    /// Of every request; without one it is a GET.
    pub(super) body_bytes: usize,
    pub(super) time: Duration,
}

impl Load<'_> {
    /// Large bodies on few connections: the memory for them is not what is measured.
    fn count(&self) -> u32 {
        if self.body_bytes < LARGE_BYTES { CONNECTIONS } else { LARGE_CONNECTIONS }
    }

    fn script(&self) -> String {
        let close =
            if self.connections == Connections::PerRequest { "wrk.headers[\"Connection\"] = \"close\"\n" } else { "" };
        match self.body_bytes {
            0 => close.to_owned(),
            n => format!("{close}wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {n})\n"),
        }
    }

    pub(super) fn run(&self, client: &Namespace) -> Result<Outcome> {
        let mut script = tempfile::NamedTempFile::with_suffix(".lua").context("cannot make a file for wrk's script")?;
        script.write_all(self.script().as_bytes())?;
        let mut command = client.command("wrk");
        command.args(["-t1", &format!("-c{}", self.count()), &format!("-d{}s", self.time.as_secs())]);
        // What is merely slow, as large bodies are on a busy machine, is no error.
        command.arg(format!("--timeout={}s", GRACE.as_secs()));
        command.arg("-s").arg(script.path()).arg(self.url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let cpu_before = cpu::of_ended_children()?;
        let mut child = command.spawn().context("cannot start wrk (Debian: wrk)")?;
        let deadline = Instant::now() + self.time + GRACE;
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
        let cpu_ns = cpu::of_ended_children()? - cpu_before;
        let text = String::from_utf8_lossy(&output.stdout);
        let outcome = parse(&text).map(|outcome| Outcome { cpu_ns, ..outcome });
        outcome.with_context(|| format!("wrk, {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
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
        read_bytes: size(text.lines().find_map(|line| line.trim().strip_suffix(" read")?.rsplit_once(", "))?.1)?,
        cpu_ns: 0,
    })
}

/// `5.35MB`: wrk's units are powers of 1024.
fn size(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let factor = match &text[digits.len()..] {
        "B" => 0,
        "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * 1024f64.powi(factor))
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
        let read_bytes = 5.35 * 1024.0 * 1024.0;
        let want = Outcome { requests: 45565, per_second: 22781.37, not_2xx: 0, errors: 0, read_bytes, cpu_ns: 0 };
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
    fn a_load_says_what_it_sends() {
        let load = |connections, body_bytes| Load { url: "", connections, body_bytes, time: Duration::ZERO };
        assert_eq!(load(Connections::Kept, 0).script(), "");
        let script = load(Connections::PerRequest, 100).script();
        assert!(script.contains("\"Connection\"] = \"close\"") && script.contains("POST") && script.contains("100"));
        assert_eq!([10, 5 << 20].map(|n| load(Connections::Kept, n).count()), [CONNECTIONS, LARGE_CONNECTIONS]);
    }

    #[test]
    fn anything_else_is_no_summary() {
        assert_eq!(parse("unable to connect to 10.92.0.1:80 Connection refused\n"), None);
        assert_eq!(parse(&PLAIN.replace("45565", "many")), None);
    }
}
