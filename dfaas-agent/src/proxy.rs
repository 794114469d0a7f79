//! HAProxy, the second data plane: it serves whatever the kernel did not steer, by the same decision.
//!
//! [`Proxy::apply`] changes weights and limits at run time and reloads only when the structure changed.

mod apply;
mod check;
mod counters;
mod error;
mod external;
mod files;
mod managed;
mod render;
mod runtime_api;
mod sample;
mod settings;
mod stage;
mod stat;
mod tables;
pub(crate) mod untrusted;

pub(crate) use self::render::server_timeout;
pub use self::{
    error::ProxyError,
    render::{Rendered, Values, render},
    runtime_api::CliError,
    sample::{Answers, FunctionSample, PeerSample, Sample},
    settings::{External, Instance, ProxySettings},
};

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use self::{
    apply::{changes, read_values, write_values},
    counters::{Accumulator, Reading},
    external::ExternalProxy,
    files::ConfigFiles,
    managed::Managed,
    runtime_api::Cli,
    stage::SHOW_STAGE,
    stat::{ResponseTimes, SHOW_SERVERS},
};
use crate::{decision::Decision, name::NodeId};

/// How often the leaving worker is asked for its counts during a reload.
const COUNT_INTERVAL: Duration = Duration::from_millis(20);

/// What [`Proxy::apply`] had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    Unchanged,
    /// Weights, limits or addresses changed in the running process.
    Values,
    /// The structure changed: a new worker took the listeners over.
    Reloaded,
}

/// State of the proxy, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub pid: u32,
    /// How often the supervisor had to start HAProxy again.
    pub restarts: u64,
    /// Result of the health checks of the peers' proxies.
    pub peers: BTreeMap<NodeId, bool>,
    /// False: calls of this node's functions go to peers, or are refused.
    pub gateway_up: bool,
}

enum Process {
    Managed(Managed),
    External(ExternalProxy),
}

impl Process {
    async fn counts(&self) -> Result<Reading, ProxyError> {
        match self {
            Self::Managed(managed) => managed.counts().await,
            Self::External(external) => external.counts().await,
        }
    }
}

/// HAProxy as this node uses it. Dropped without [`Proxy::stop`], it leaves HAProxy running.
pub struct Proxy {
    settings: ProxySettings,
    files: ConfigFiles,
    process: Process,
    current: Rendered,
    /// False after a failure half-way: the next `apply` asks HAProxy what it runs instead of assuming.
    in_step: bool,
    counts: Accumulator,
    is_adopted: bool,
}

impl Proxy {
    /// Starts HAProxy, or adopts the one a former agent left running in the same directory.
    pub async fn start(settings: ProxySettings, decision: &Decision) -> Result<Self, ProxyError> {
        settings.validate()?;
        let rendered = render(&settings, decision);
        let files = ConfigFiles::new(&settings)?;
        let checked = files.stage(&rendered)?;
        check::check(&settings.program, &checked).await?;
        let mut is_adopted = true;
        let process = match &settings.instance {
            Instance::Managed => {
                if let Some(adopted) = Managed::adopt(&settings).await {
                    Process::Managed(adopted)
                } else {
                    is_adopted = false;
                    files.promote(&rendered)?;
                    Process::Managed(Managed::spawn(&settings, &rendered.stamp).await?)
                }
            }
            Instance::External(external) => Process::External(ExternalProxy::new(external.clone())),
        };
        let counts = Accumulator::default();
        let mut proxy = Self { settings, files, process, current: rendered, in_step: false, counts, is_adopted };
        let rendered = proxy.current.clone();
        proxy.converge(rendered, false).await?;
        Ok(proxy)
    }

    /// Makes HAProxy obey `decision`. A text that HAProxy refuses leaves the old configuration running.
    pub async fn apply(&mut self, decision: &Decision) -> Result<Applied, ProxyError> {
        let rendered = render(&self.settings, decision);
        if !self.in_step {
            let checked = self.files.stage(&rendered)?;
            check::check(&self.settings.program, &checked).await?;
            return self.converge(rendered, false).await;
        }
        if rendered == self.current {
            return Ok(Applied::Unchanged);
        }
        if rendered.stamp != self.current.stamp {
            let checked = self.files.stage(&rendered)?;
            check::check(&self.settings.program, &checked).await?;
            return self.reload(rendered).await;
        }
        self.converge(rendered, true).await
    }

    /// True if HAProxy would have to be reloaded to obey.
    pub fn needs_reload(&self, decision: &Decision) -> bool {
        render(&self.settings, decision).stamp != self.current.stamp
    }

    /// Counts since this agent first saw the proxy; they never fall, also over reloads and restarts.
    pub async fn sample(&mut self) -> Result<Sample, ProxyError> {
        self.collect().await?;
        let cli = self.cli();
        let rates = counters::local_rates(&cli.ask("show table tables/st_local").await?);
        let servers = cli.ask(SHOW_SERVERS).await?;
        let mut sample = self.counts.sample(&rates, &ResponseTimes::read(&servers));
        stat::read_answers(&servers, &mut sample);
        if self.settings.stages {
            sample.stage = stage::read(&cli.ask(SHOW_STAGE).await?, SystemTime::now());
        }
        Ok(sample)
    }

    pub async fn health(&self) -> Result<Health, ProxyError> {
        let cli = self.cli();
        let answer = cli.ask("show info").await?;
        let pid = runtime_api::info_field(&answer, "Pid").and_then(|pid| pid.parse().ok()).unwrap_or(0);
        let servers = cli.ask(SHOW_SERVERS).await?;
        let (peers, gateway_up) = (stat::peer_states(&servers), stat::gateway_is_up(&servers));
        let restarts = match &self.process {
            Process::Managed(managed) => managed.restarts(),
            Process::External(_) => 0,
        };
        Ok(Health { pid, restarts, peers, gateway_up })
    }

    /// Compares what HAProxy runs with what it was told, and puts right what differs: how many values did. A process that
    /// runs another structure is brought back by the next [`Proxy::apply`].
    pub async fn repair(&mut self) -> Result<usize, ProxyError> {
        if !self.in_step {
            return Ok(0);
        }
        let cli = self.cli();
        let info = cli.ask("show info").await?;
        if runtime_api::info_field(&info, "description") != Some(self.current.stamp.as_str()) {
            self.in_step = false;
            return Ok(1);
        }
        let wanted = &self.current.values;
        let found = read_values(&cli, wanted).await?;
        let commands = changes(&found, wanted);
        if !commands.is_empty() {
            self.in_step = false;
            write_values(&cli, &found, wanted, &commands).await?;
            self.in_step = true;
        }
        Ok(commands.len())
    }

    /// False: HAProxy may not obey the last decision, and [`Proxy::apply`] must be called again.
    /// It ran already, or is not ours to start.
    pub(crate) fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    pub fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Ends a managed HAProxy: no new connections, `grace` for those in progress. An external one stays.
    pub async fn stop(self, grace: Duration) -> Result<(), ProxyError> {
        match self.process {
            Process::Managed(managed) => managed.stop(grace).await,
            Process::External(_) => Ok(()),
        }
    }

    /// Ends the supervision only: HAProxy goes on serving, and the next [`Proxy::start`] adopts it.
    pub async fn leave_running(self) {
        if let Process::Managed(managed) = self.process {
            managed.leave_running().await;
        }
    }

    /// Brings the values of the running process to `rendered`; reloads if it runs another structure.
    async fn converge(&mut self, rendered: Rendered, known: bool) -> Result<Applied, ProxyError> {
        let cli = self.cli();
        let from = if known {
            self.current.values.clone()
        } else {
            match cli.ask("show info").await {
                Ok(info) if runtime_api::info_field(&info, "description") == Some(rendered.stamp.as_str()) => {
                    read_values(&cli, &rendered.values).await?
                }
                // An external HAProxy may not have our socket before its first reload.
                Ok(_) | Err(_) => return self.reload(rendered).await,
            }
        };
        // The files first: a process that starts from here on has the new values.
        self.files.promote(&rendered)?;
        let commands = changes(&from, &rendered.values);
        self.in_step = false;
        let written = write_values(&cli, &from, &rendered.values, &commands).await;
        self.current = rendered;
        written?;
        self.in_step = true;
        Ok(if commands.is_empty() { Applied::Unchanged } else { Applied::Values })
    }

    async fn reload(&mut self, rendered: Rendered) -> Result<Applied, ProxyError> {
        if let Err(err) = self.collect().await {
            tracing::debug!("counters before the reload: {err}");
        }
        let former = self.files.former(&rendered)?;
        self.files.promote(&rendered)?;
        let started = Instant::now();
        let outcome = self.load(&rendered.stamp).await;
        if let Err(err) = outcome {
            self.in_step = false;
            former.restore()?;
            return Err(err);
        }
        tracing::info!(elapsed_ms = started.elapsed().as_millis() as u64, "haproxy reloaded");
        self.current = rendered;
        self.in_step = true;
        Ok(Applied::Reloaded)
    }

    /// Loads the files and goes on counting meanwhile: a worker that started less than some seconds before does
    /// not hand its tables over yet.
    async fn load(&mut self, stamp: &str) -> Result<(), ProxyError> {
        let process = &self.process;
        let load = async {
            match process {
                Process::Managed(managed) => managed.reload(stamp).await,
                Process::External(external) => external.reload(stamp).await,
            }
        };
        tokio::pin!(load);
        loop {
            tokio::select! {
                outcome = &mut load => return outcome,
                () = tokio::time::sleep(COUNT_INTERVAL) => {
                    if let Ok(mut reading) = process.counts().await {
                        reading.incomplete();
                        self.counts.absorb(reading, &self.current);
                    }
                }
            }
        }
    }

    async fn collect(&mut self) -> Result<(), ProxyError> {
        let reading = self.process.counts().await?;
        self.counts.absorb(reading, &self.current);
        Ok(())
    }

    fn cli(&self) -> Cli {
        Cli::new(self.settings.runtime_socket())
    }
}
