//! A HAProxy of our own: a master that keeps the listeners, a worker per configuration, and a supervisor that
//! starts it again when it dies. It outlives the agent if asked to.

mod master;
mod paths;
mod rights;

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use self::{
    master::Master,
    paths::{LOAD_TIMEOUT, POLL, Paths, processes},
};
use super::{
    CliError, ProxyError,
    check::complaint,
    counters::{Reading, SHOW_CALLS},
    runtime_api::{Cli, Processes, info_field},
    settings::ProxySettings,
};

const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);

/// What the supervisor is to do when the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Run,
    Stop,
    Leave,
}

pub(super) struct Managed {
    paths: Paths,
    wish: watch::Sender<Wish>,
    pid: watch::Receiver<u32>,
    restarts: Arc<AtomicU64>,
    supervisor: JoinHandle<()>,
}

impl Managed {
    /// Takes over the HAProxy a former agent left running; `None` if there is none.
    pub(super) async fn adopt(settings: &ProxySettings) -> Option<Self> {
        let paths = Paths::of(settings);
        let answer = paths.master_cli().ask("show proc;quit").await.ok()?;
        let processes = Processes::parse(&answer)?;
        tracing::info!(pid = processes.master, "adopted a running haproxy");
        Some(Self::supervise(paths, Master::adopted(processes.master)))
    }

    /// Starts HAProxy from the files in place and waits until it serves.
    pub(super) async fn spawn(settings: &ProxySettings, stamp: &str) -> Result<Self, ProxyError> {
        let paths = Paths::of(settings);
        let log_from = paths.log_length();
        let mut master = Master::spawn(&paths)?;
        let loaded = tokio::select! {
            loaded = paths.until_loaded(stamp, log_from) => loaded,
            () = master.ended() => Err(ProxyError::NotLoaded { message: paths.log_since(log_from) }),
        };
        if let Err(err) = loaded {
            master.signal(Signal::SIGKILL);
            return Err(err);
        }
        tracing::info!(pid = master.pid(), "haproxy serves");
        Ok(Self::supervise(paths, master))
    }

    /// A new worker takes the listeners over; the old one finishes its connections.
    pub(super) async fn reload(&self, stamp: &str) -> Result<(), ProxyError> {
        let cli = self.paths.master_cli();
        let log_from = self.paths.log_length();
        let before = processes(&cli).await?;
        // HAProxy 2.6 drops the connection when it starts over; 3.x answers when it has loaded.
        match cli.ask("reload").await {
            Ok(answer) if answer.contains("Success=0") => {
                return Err(ProxyError::NotLoaded { message: complaint(&answer) });
            }
            Ok(_) | Err(CliError::Broken { .. } | CliError::TimedOut { .. }) => {}
            Err(err) => return Err(err.into()),
        }
        let deadline = Instant::now() + LOAD_TIMEOUT;
        while Instant::now() < deadline {
            match processes(&cli).await {
                Ok(now) if now.reloads > before.reloads && now.failed > 0 => {
                    return Err(ProxyError::NotLoaded { message: self.paths.log_since(log_from) });
                }
                Ok(now) if now.reloads > before.reloads && now.worker.is_some() && now.worker != before.worker => {
                    return self.paths.until_loaded(stamp, log_from).await;
                }
                // The master is between two lives.
                Ok(_) | Err(_) => sleep(POLL).await,
            }
        }
        Err(ProxyError::TimedOut { doing: "the reload of haproxy", after_s: LOAD_TIMEOUT.as_secs() })
    }

    /// Counts of the current worker and of those that are leaving.
    pub(super) async fn counts(&self) -> Result<Reading, ProxyError> {
        let current = Cli::new(self.paths.runtime_socket.clone()).ask(&format!("show info;{SHOW_CALLS}")).await?;
        let pid = info_field(&current, "Pid").and_then(|pid| pid.parse().ok());
        let mut reading = Reading::default();
        reading.add_worker(pid, &current);
        let cli = self.paths.master_cli();
        let processes = match processes(&cli).await {
            Ok(processes) => processes,
            Err(err) => {
                tracing::debug!("counts: {err}");
                Processes::default()
            }
        };
        if processes.worker != pid || !processes.leaving.is_empty() {
            reading.incomplete();
        }
        for pid in processes.leaving {
            match cli.ask(&format!("@!{pid} {SHOW_CALLS};quit")).await {
                Ok(answer) => reading.add_worker(Some(pid), &answer),
                Err(err) => tracing::debug!(pid, "counts: {err}"),
            }
        }
        Ok(reading)
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(self, grace: Duration) -> Result<(), ProxyError> {
        let Self { paths, wish, pid, mut supervisor, .. } = self;
        let _ = wish.send(Wish::Stop);
        let stages = [(Signal::SIGUSR1, grace), (Signal::SIGTERM, Duration::from_secs(5))];
        for (signal, patience) in stages.into_iter().chain([(Signal::SIGKILL, Duration::from_secs(5))]) {
            master::signal(*pid.borrow(), signal);
            if timeout(patience, &mut supervisor).await.is_ok() {
                for file in [&paths.pid_file, &paths.master_socket, &paths.runtime_socket] {
                    match fs::remove_file(file) {
                        Err(err) if err.kind() != io::ErrorKind::NotFound => {
                            return Err(ProxyError::io("remove", file)(err));
                        }
                        Ok(()) | Err(_) => {}
                    }
                }
                return Ok(());
            }
        }
        Err(ProxyError::TimedOut { doing: "the end of haproxy", after_s: grace.as_secs() + 10 })
    }

    pub(super) async fn leave_running(self) {
        let _ = self.wish.send(Wish::Leave);
        let _ = self.supervisor.await;
    }

    fn supervise(paths: Paths, master: Master) -> Self {
        let (wish, wishes) = watch::channel(Wish::Run);
        let (pid_sender, pid) = watch::channel(master.pid());
        let restarts = Arc::new(AtomicU64::new(0));
        let supervisor = tokio::spawn(supervise(paths.clone(), master, wishes, pid_sender, Arc::clone(&restarts)));
        Self { paths, wish, pid, restarts, supervisor }
    }
}

async fn supervise(
    paths: Paths,
    mut master: Master,
    mut wishes: watch::Receiver<Wish>,
    pid: watch::Sender<u32>,
    restarts: Arc<AtomicU64>,
) {
    let mut back_off = FIRST_BACK_OFF;
    let mut started = Instant::now();
    let mut log_check = interval(Duration::from_mins(1));
    log_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = master.ended() => {}
            _ = log_check.tick() => {
                paths.bound_log();
                continue;
            }
            changed = wishes.changed() => {
                if changed.is_err() || *wishes.borrow() == Wish::Leave {
                    return;
                }
                continue;
            }
        }
        let _ = pid.send(0);
        if *wishes.borrow() != Wish::Run {
            return;
        }
        if started.elapsed() > LONGEST_BACK_OFF {
            back_off = FIRST_BACK_OFF;
        }
        // One that ends again and again is named once, and again when it has served for a while.
        if back_off == FIRST_BACK_OFF {
            tracing::warn!("haproxy ended, starting it again");
        }
        loop {
            // A wish ends the wait: nothing is started any more.
            if timeout(back_off, wishes.changed()).await.is_ok() {
                return;
            }
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            match Master::spawn(&paths) {
                Ok(new) => {
                    master = new;
                    break;
                }
                Err(err) => tracing::error!("haproxy does not start: {err}"),
            }
        }
        started = Instant::now();
        restarts.fetch_add(1, Ordering::Relaxed);
        let _ = pid.send(master.pid());
    }
}
