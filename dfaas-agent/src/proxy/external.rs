//! A HAProxy that the system runs: its files are written, and its own command makes it load them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    ProxyError,
    check::{complaint, run},
    counters::{Reading, SHOW_CALLS},
    runtime_api::{Cli, info_field},
    settings::External,
};

const LOAD_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) struct ExternalProxy {
    external: External,
}

impl ExternalProxy {
    pub(super) fn new(external: External) -> Self {
        Self { external }
    }

    /// Runs the reload command, then waits until the process that answers tells the new stamp.
    pub(super) async fn reload(&self, stamp: &str) -> Result<(), ProxyError> {
        let Some((program, arguments)) = self.external.reload.split_first() else {
            return Err(ProxyError::Setting {
                name: "reload",
                value: String::new(),
                expected: "a program and its arguments",
            });
        };
        let arguments = arguments.iter().map(AsRef::as_ref);
        let output = run(program.as_ref(), arguments, "the reload command").await?;
        if !output.status.success() {
            let message = complaint(&String::from_utf8_lossy(&output.stderr));
            return Err(ProxyError::NotLoaded {
                message: format!("{program} ended with {}: {message}", output.status),
            });
        }
        let cli = self.cli();
        let deadline = Instant::now() + LOAD_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(info) = cli.ask("show info").await
                && info_field(&info, "description") == Some(stamp)
            {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        let socket = self.external.runtime_socket.display();
        Err(ProxyError::NotLoaded { message: format!("{socket} does not tell {stamp} after the reload command") })
    }

    /// Only the current worker can be asked: the last calls of older ones may be missing.
    pub(super) async fn counts(&self) -> Result<Reading, ProxyError> {
        let mut reading = Reading::default();
        let answer = self.cli().ask(&format!("show info;{SHOW_CALLS}")).await?;
        let pid = info_field(&answer, "Pid").and_then(|pid| pid.parse().ok());
        reading.add_worker(pid, &answer);
        Ok(reading)
    }

    fn cli(&self) -> Cli {
        Cli::new(self.external.runtime_socket.clone())
    }
}
