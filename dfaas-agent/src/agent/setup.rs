//! Brings everything up in the order that loses nothing: listeners before tables, tables before programs.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dfaas_base::BadInput;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Agent, kernel_plane::KernelPlane, planner::Planner, platform_task, proxy_task::ProxyTask, report, rhythm::Rhythm,
    speak::Spoken, steady::Steady,
};
use crate::{
    config::{Config, PlatformKind, ProxyKind},
    decision::Decision,
    http,
    kernel::mode::Mode,
    metrics,
    name::NodeId,
    p2p::{self, OverlaySettings, identity::Identity},
    peers::Peers,
    platform::{
        self, Credentials, Password, Platform,
        embedded::{Embedded, RunAs},
        openfaas::OpenFaas,
    },
    proxy::{External, Instance, ProxySettings},
    rates::Rates,
    strategy::rl_agent::Pace,
};

pub(super) async fn start(config: Config) -> Result<(Agent, JoinHandle<()>)> {
    for directory in [&config.state_dir, &config.run_dir] {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let identity = Identity::load_or_create(&config.overlay.private_key_file)?;
    let node = identity.node_id.clone();
    tracing::info!(%node, host = %config.node.host, strategy = %config.strategy.strategy, "node");
    let platform = start_platform(&config).await?;
    let functions = platform_task::start(platform.clone(), config.platform.rate_limits.clone()).await;
    let members = match &config.overlay.members_file {
        Some(file) => Some((file.clone(), members_of(file)?)),
        None => None,
    };
    let settings = OverlaySettings {
        listen: config.overlay.listen.clone(),
        bootstrap: config.overlay.bootstrap.clone(),
        topic: config.overlay.topic.clone(),
        rendezvous: config.overlay.rendezvous.clone(),
        dht: config.overlay.dht,
        mdns: config.overlay.mdns,
        search_pause: config.overlay.search_pause,
        members,
        max_connections: config.overlay.max_connections,
        message_rate: config.overlay.message_rate,
        ..OverlaySettings::new(identity.keypair)
    };
    let (overlay, events) = p2p::start(settings)?;
    let kernel = KernelPlane::load(&config)?;
    let model_log = config.state_dir.join("rl_model.log");
    let planner = Planner::start(node.clone(), platform.clone(), &config.planning, model_log)?;
    let now = Instant::now();
    let inherited = kernel.inherited_peers();
    let proxy_settings = proxy_settings(&config, &node, kernel.mode)?;
    let mut agent = Agent {
        started: now,
        events,
        overlay,
        platform,
        functions,
        // Replaced below, once there is a decision to start it with.
        proxy: ProxyTask::none(),
        peers: Peers::new(node.clone(), config.terms()),
        rates: Rates::new(config.strategy.rate_window),
        rhythm: Rhythm::default(),
        steady: Steady::default(),
        planner,
        decision: Arc::new(Decision::default()),
        decided: now,
        spoken: Spoken::new(),
        status: watch::channel(Arc::new(report::nothing(&node))).0,
        iterations: Arc::new(metrics::Iterations::new()?),
        kernel,
        node,
        config,
    };
    if inherited > 0 {
        tracing::info!("taking over from a former agent: waiting for its {inherited} peers");
        agent.wait_for_inherited().await;
    }
    agent.decide(now);
    agent.proxy = ProxyTask::start(proxy_settings, agent.decision.clone()).await;
    agent.feed_kernel(now);
    agent.kernel.attach(&agent.config)?;
    agent.tell_mode();
    agent.status.send_replace(Arc::new(agent.report(now)));
    let server = http::serve(
        agent.config.http_address,
        agent.status.subscribe(),
        agent.iterations.clone(),
        agent.overlay.clone(),
    )
    .await?;
    Ok((agent, server))
}

fn members_of(file: &Path) -> Result<BTreeSet<NodeId>> {
    Ok(p2p::members::read(file).map_err(|error| BadInput(format!("AGENT_PEERS_FILE: {error:#}")))?)
}

async fn start_platform(config: &Config) -> Result<Arc<dyn Platform>> {
    let p = &config.platform;
    let password = match (&p.password_file, &p.password) {
        (Some(file), _) => Some(Password::File(file.clone())),
        (None, Some(text)) => Some(Password::Text(text.clone())),
        (None, None) => None,
    };
    let credentials = match (&p.user, password) {
        (Some(user), Some(password)) => Some(Credentials { user: user.clone(), password }),
        _ => None,
    };
    Ok(match p.kind {
        PlatformKind::OpenFaas => Arc::new(OpenFaas::new(platform::openfaas::Settings {
            host: p.gateway_host.clone(),
            port: p.gateway_port,
            credentials,
            timeout: Duration::from_secs(5),
        })?),
        PlatformKind::Embedded => Arc::new(
            Embedded::start(platform::embedded::Settings {
                address: p.embedded_address,
                credentials,
                state_file: Some(config.state_dir.join("functions.json")),
                deploy_shipped: true,
                max_rates: p.rate_limits.clone(),
                run_as: function_user(&p.embedded_user)?,
                ..platform::embedded::Settings::default()
            })
            .await?,
        ),
    })
}

/// Whom functions run as: nobody special, unless the agent itself is.
fn function_user(name: &str) -> Result<Option<RunAs>> {
    if name == "root" || !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let user = nix::unistd::User::from_name(name).context("cannot read the list of users")?;
    let user = user.with_context(|| format!("AGENT_EMBEDDED_USER={name}: there is no such user"))?;
    Ok(Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
}

fn proxy_settings(config: &Config, node: &NodeId, mode: Mode) -> Result<ProxySettings> {
    let any = |port| std::net::SocketAddr::from(([0, 0, 0, 0], port));
    let (gateway_host, gateway_port) = match config.platform.kind {
        PlatformKind::OpenFaas => (config.platform.gateway_host.clone(), config.platform.gateway_port),
        PlatformKind::Embedded => {
            let address = config.platform.embedded_address;
            (address.ip().to_string().parse()?, address.port())
        }
    };
    let placed = mode == Mode::Handoff;
    let reload: Vec<String> = config.proxy.reload_command.split_whitespace().map(str::to_owned).collect();
    Ok(ProxySettings {
        node: node.clone(),
        host: config.node.host.clone(),
        service: vec![any(config.node.service.port()), any(config.node.peer_port)],
        placed: placed.then_some(config.kernel.placed.into()),
        handoff: placed.then_some(config.kernel.handoff.into()),
        sticky: config.proxy.sticky,
        stages: config.planning.pace == Pace::Stages,
        gateway_host,
        gateway_port,
        exporter: None,
        run_dir: config.run_dir.join("haproxy"),
        program: config.proxy.binary.clone(),
        user: None,
        instance: match config.proxy.kind {
            ProxyKind::Managed => Instance::Managed,
            ProxyKind::External => Instance::External(External {
                config: config.proxy.file.clone(),
                reload,
                runtime_socket: config.proxy.socket.clone(),
            }),
        },
    })
}

impl Agent {
    /// Until all peers of the former agent have spoken, or the time is over: nothing is written meanwhile.
    async fn wait_for_inherited(&mut self) {
        while self.kernel.is_holding(Instant::now()) {
            let now = Instant::now();
            self.speak(now);
            if let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(50), self.events.recv()).await {
                self.hear(event);
            }
        }
    }

    fn tell_mode(&self) {
        let xdp = self.kernel.xdp.map(|place| format!(", XDP {place}")).unwrap_or_default();
        let interface = &self.config.kernel.interface;
        let mode = self.kernel.mode;
        if self.kernel.why.is_empty() {
            tracing::info!("mode {mode} on {interface}{xdp}");
        } else {
            tracing::warn!("mode {mode} on {interface}{xdp}, because {}", self.kernel.why.join("; "));
        }
    }
}
