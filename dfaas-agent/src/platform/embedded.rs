//! The embedded runner: an OpenFaaS-compatible gateway inside the agent, where a function is a program on
//! this machine and a call is a process, in the manner of the OpenFaaS classic watchdog.
//!
//! Functions are strangers' programs: [`RunnerSettings::confine`] says how little they get.

mod api;
mod auth;
mod bad_deployment;
mod body;
mod budget;
mod confinement;
mod cpu_time;
mod deployment;
mod function;
mod invoke;
mod kind;
mod password_file;
mod process;
mod quantity;
mod refusal;
mod registry;
mod request_env;
mod state_file;
mod words;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures::future::BoxFuture;
use nix::unistd::geteuid;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

pub use self::confinement::Confine;
pub(super) use self::kind::KIND;
use self::{body::BodyLimits, budget::Budget, confinement::Confinement, function::Surroundings, registry::Registry};
use super::{Credentials, DeployedFunction, Platform};
use crate::{
    endpoint::Endpoint,
    name::FunctionName,
    server::{self, ConnectionLimits},
};

/// A deployment is a page of text.
const ADMIN_BODY_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// A loopback address; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// For the calls below `/system`: who may make them starts programs of his own choice.
    pub credentials: Credentials,
    /// Where deployments are kept over a restart. If the file exists, `deploy_shipped` has no effect.
    pub state_file: Option<PathBuf>,
    /// Deploy `figlet`, `shasum`, `ocr` and `env` at start, those whose programs exist.
    pub deploy_shipped: bool,
    /// Label `dfaas.maxrate` of functions deployed at start, in place of their own.
    pub max_rates: BTreeMap<FunctionName, u32>,
    /// For functions that set no `exec_timeout` and no `dfaas.timeout_ms`.
    pub exec_timeout: Duration,
    /// For the body of a request to arrive.
    pub body_timeout: Duration,
    pub max_request_bytes: usize,
    pub max_response_bytes: usize,
    /// Of all request and response bodies held at one time.
    pub max_buffered_bytes: u64,
    /// Processes at one time, over all functions.
    pub max_calls: usize,
    pub max_connections: usize,
    /// For the head of a request, and for a connection on which nothing is asked.
    pub idle_timeout: Duration,
    pub max_functions: usize,
    /// How long calls under way may take to finish when the runner stops.
    pub grace: Duration,
    /// `PATH` of the functions, and where their programs are looked for.
    pub path: String,
    pub work_dir: PathBuf,
    /// Needs the right to change user.
    pub run_as: Option<RunAs>,
    /// `None`: functions have the rights of this process, or those of `run_as`.
    pub confine: Option<Confine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
}

impl RunnerSettings {
    /// The usual ones. There are none without credentials: every user of the machine can connect to a loopback address.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8081)),
            credentials,
            state_file: None,
            deploy_shipped: true,
            max_rates: BTreeMap::new(),
            exec_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(30),
            max_request_bytes: 32 << 20,
            max_response_bytes: 32 << 20,
            max_buffered_bytes: 1 << 30,
            max_calls: 256,
            max_connections: 4096,
            idle_timeout: Duration::from_secs(90),
            max_functions: 256,
            grace: Duration::from_secs(10),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            work_dir: PathBuf::from("/"),
            run_as: None,
            confine: None,
        }
    }
}

/// What every request handler shares.
struct Runner {
    registry: Registry,
    budget: Arc<Budget>,
    call_body: BodyLimits,
    admin_body: BodyLimits,
    max_response_bytes: usize,
    slots: Arc<Semaphore>,
    work_dir: PathBuf,
    run_as: Option<RunAs>,
    confinement: Option<Arc<Confinement>>,
}

/// A running gateway. Dropping it stops it like [`Platform::stop`], without waiting.
pub struct Embedded {
    runner: Arc<Runner>,
    address: SocketAddr,
    gateway: Endpoint,
    stop: watch::Sender<bool>,
    server: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// Calls of one function since it was deployed; `started` includes those under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    pub started: u64,
    /// Of the started: those whose process failed, or could not give its output.
    pub failed: u64,
    /// Of the started: those killed after their `exec_timeout`.
    pub timed_out: u64,
    /// Never started, for want of a slot.
    pub refused: u64,
    /// Used by the processes of calls that have ended.
    pub cpu: Duration,
}

impl Embedded {
    /// Binds the address and serves from then on.
    pub async fn start(settings: RunnerSettings) -> Result<Self> {
        let address = settings.address;
        ensure!(
            address.ip().is_loopback(),
            "address {address} of the embedded runner: expected a loopback address such as 127.0.0.1, \
             since whoever reaches it can start processes"
        );
        let own_users = settings.confine.as_ref().is_some_and(|confine| confine.own_users);
        if !own_users && settings.run_as.map_or(geteuid().as_raw(), |run_as| run_as.uid) == 0 {
            tracing::warn!("functions of the embedded runner run as root; set a user for them");
        }
        let limits =
            ConnectionLimits { max: settings.max_connections, idle: settings.idle_timeout, grace: settings.grace };
        let credentials = settings.credentials.clone();
        let confinement = match settings.confine.clone() {
            Some(confine) => Some(Confinement::prepare(confine, settings.run_as, settings.max_calls).await?),
            None => None,
        };
        for lacking in confinement.iter().flat_map(|confinement| confinement.lacking()) {
            tracing::warn!("functions run without {lacking}");
        }
        let runner = Arc::new(Runner::new(settings, confinement)?);
        let context = || format!("address {address} of the embedded runner");
        let listener = TcpListener::bind(address).await.with_context(context)?;
        let address = listener.local_addr().with_context(context)?;
        let gateway = Endpoint { host: address.ip().to_string().parse()?, port: address.port() };
        let (stop, stopping) = watch::channel(false);
        let router = api::router(Arc::clone(&runner), credentials);
        let server = tokio::spawn(server::serve(listener, router, limits, stopping));
        tracing::info!("embedded runner on {address} with {} functions", runner.registry.all().len());
        Ok(Self { runner, address, gateway, stop, server: std::sync::Mutex::new(Some(server)) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn calls(&self) -> BTreeMap<FunctionName, CallCounts> {
        let counts = |calls: &function::Calls| CallCounts {
            started: calls.started.load(Relaxed),
            failed: calls.failed.load(Relaxed),
            timed_out: calls.timed_out.load(Relaxed),
            refused: calls.refused.load(Relaxed),
            cpu: calls.cpu.total(),
        };
        self.runner.registry.all().iter().map(|f| (f.name.clone(), counts(&f.calls))).collect()
    }

    fn is_running(&self) -> bool {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.as_ref().is_some_and(|server| !server.is_finished())
    }
}

impl Runner {
    fn new(settings: RunnerSettings, confinement: Option<Arc<Confinement>>) -> Result<Self> {
        let timeout = settings.body_timeout;
        let around = Surroundings { path: settings.path, exec_timeout: settings.exec_timeout };
        let initial = if settings.deploy_shipped { registry::shipped()? } else { Vec::new() };
        let registry =
            Registry::open(around, settings.max_functions, settings.state_file, initial, &settings.max_rates)?;
        Ok(Self {
            registry,
            budget: Budget::new(settings.max_buffered_bytes),
            call_body: BodyLimits { bytes: settings.max_request_bytes, timeout },
            admin_body: BodyLimits { bytes: ADMIN_BODY_BYTES, timeout },
            max_response_bytes: settings.max_response_bytes,
            slots: Arc::new(Semaphore::new(settings.max_calls.clamp(1, Semaphore::MAX_PERMITS))),
            work_dir: settings.work_dir,
            run_as: settings.run_as,
            confinement,
        })
    }
}

impl Platform for Embedded {
    fn functions(&self) -> BoxFuture<'_, Result<Vec<DeployedFunction>>> {
        Box::pin(async { Ok(self.runner.registry.all().iter().map(|function| function.deployed()).collect()) })
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            ensure!(self.is_running(), "the embedded runner on {} has stopped", self.address);
            Ok(())
        })
    }

    fn gateway(&self) -> Endpoint {
        self.gateway.clone()
    }

    fn lacking(&self) -> Vec<String> {
        self.runner.confinement.iter().flat_map(|confinement| confinement.lacking().to_vec()).collect()
    }

    fn cpu_times(&self) -> BTreeMap<FunctionName, Duration> {
        self.runner.registry.all().iter().map(|f| (f.name.clone(), f.calls.cpu.total())).collect()
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.stop.send_replace(true);
            let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(server) = server
                && let Err(error) = server.await
            {
                tracing::warn!("the embedded runner ended badly: {error}");
            }
            if let Some(confinement) = &self.runner.confinement {
                confinement.end();
            }
        })
    }
}
