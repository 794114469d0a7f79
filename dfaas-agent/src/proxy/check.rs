//! HAProxy's own check of a configuration, and the bounded run of a program.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::ProxyError;

/// Names of peers are resolved during the check, which may take some seconds each.
const TIMEOUT: Duration = Duration::from_secs(30);
const MESSAGE_MAX_CHARS: usize = 2_000;

pub(super) async fn check(program: &Path, config: &Path) -> Result<(), ProxyError> {
    let output = run(program, ["-c".as_ref(), "-f".as_ref(), config.as_os_str()], "haproxy's check").await?;
    if output.status.success() {
        return Ok(());
    }
    Err(ProxyError::Refused { message: complaint(&String::from_utf8_lossy(&output.stderr)) })
}

/// Runs a program that is expected to end soon; it is killed if it does not.
pub(super) async fn run(
    program: &Path,
    arguments: impl IntoIterator<Item = &OsStr>,
    doing: &'static str,
) -> Result<Output, ProxyError> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(TIMEOUT, output).await {
        Ok(output) => output.map_err(ProxyError::io("run", program)),
        Err(_) => Err(ProxyError::TimedOut { doing, after_s: TIMEOUT.as_secs() }),
    }
}

/// The lines that say what is wrong, without the notices around them.
pub(super) fn complaint(log: &str) -> String {
    let is_alert = |line: &&str| line.contains("[ALERT]");
    let alerts: Vec<&str> = log.lines().filter(is_alert).map(str::trim).collect();
    let text = if alerts.is_empty() { log.trim().to_owned() } else { alerts.join("; ") };
    text.chars().take(MESSAGE_MAX_CHARS).collect()
}
