//! The files and sockets of one instance, and what they tell about it.

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    super::{
        check::complaint,
        runtime_api::{Cli, Processes, info_field},
        settings::ProxySettings,
    },
    CliError, ProxyError,
};

pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const POLL: Duration = Duration::from_millis(50);
/// The run directory is usually memory: a peer whose health flaps must not fill it with log lines.
const LOG_MAX_BYTES: u64 = 4 << 20;

#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) program: PathBuf,
    pub(super) init: Option<PathBuf>,
    pub(super) dir: PathBuf,
    pub(super) tables_socket: PathBuf,
    pub(super) config: PathBuf,
    pub(super) master_socket: PathBuf,
    pub(super) runtime_socket: PathBuf,
    pub(super) pid_file: PathBuf,
    pub(super) log: PathBuf,
}

impl Paths {
    pub(super) fn of(settings: &ProxySettings) -> Self {
        Self {
            program: settings.program.clone(),
            init: settings.init.clone(),
            dir: settings.run_dir.clone(),
            tables_socket: settings.tables_socket(),
            config: settings.config_file(),
            master_socket: settings.master_socket(),
            runtime_socket: settings.runtime_socket(),
            pid_file: settings.pid_file(),
            log: settings.log_file(),
        }
    }

    pub(super) fn master_cli(&self) -> Cli {
        Cli::new(self.master_socket.clone())
    }

    /// Waits until the worker that answers the runtime socket has the configuration with this stamp, and the
    /// master, which starts over once its worker is loaded, answers too.
    pub(super) async fn until_loaded(&self, stamp: &str, log_from: u64) -> Result<(), ProxyError> {
        let cli = Cli::new(self.runtime_socket.clone());
        let deadline = Instant::now() + LOAD_TIMEOUT;
        loop {
            if let Ok(info) = cli.ask("show info").await
                && info_field(&info, "description") == Some(stamp)
                && processes(&self.master_cli()).await.is_ok()
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ProxyError::NotLoaded { message: self.log_since(log_from) });
            }
            sleep(POLL).await;
        }
    }

    /// Not through a link: HAProxy's user may write into the folder.
    pub(super) fn open_log(&self) -> io::Result<fs::File> {
        fs::OpenOptions::new().create(true).append(true).custom_flags(nix::libc::O_NOFOLLOW).open(&self.log)
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |data| data.len())
    }

    /// What HAProxy said since the log had this length.
    pub(super) fn log_since(&self, from: u64) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let new = log.get(from as usize..).unwrap_or(&log);
        complaint(&String::from_utf8_lossy(new))
    }

    /// HAProxy appends, so an emptied file goes on from its start.
    pub(super) fn bound_log(&self) {
        if self.log_length() > LOG_MAX_BYTES
            && let Err(err) = self.open_log().and_then(|file| file.set_len(0))
        {
            tracing::warn!("cannot empty {}: {err}", self.log.display());
        }
    }
}

pub(super) async fn processes(cli: &Cli) -> Result<Processes, CliError> {
    let answer = cli.ask("show proc;quit").await?;
    Processes::parse(&answer).ok_or_else(|| CliError::Unexpected { command: "show proc".to_owned(), missing: "master" })
}
