//! Brings everything up in the order that loses nothing: what can fail and changes nothing comes first, then listeners before
//! tables, tables before programs.

mod ground;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use dfaas_base::BadInput;
use tokio::{sync::watch, task::JoinHandle};

use self::ground::Ground;
use super::{
    Agent, answering::Answering, kernel_plane::KernelPlane, proxy_task::ProxyTask, report, rhythm::Rhythm,
    speak::Spoken, steady::Steady,
};
use crate::{
    config::{Config, ProxyKind},
    decision::Decision,
    endpoint::Endpoint,
    http,
    metrics::Meters,
    mode::Mode,
    name::NodeId,
    peers::Peers,
    proxy::{External, Instance, ProxySettings},
    rates::Rates,
    sparse::Sparse,
    strategy::rl_agent::Pace,
};

pub(super) use self::ground::Claim;

pub(super) async fn start(config: Config) -> Result<(Agent, JoinHandle<()>)> {
    let reload_command = words(&config.proxy.reload_command)?;
    let Ground { claim, http: listener, node, platform, functions, overlay, events, planner } =
        Ground::prepare(&config).await?;
    if overlay.is_open() {
        tracing::warn!(
            "open federation: who may take part is said by AGENT_FEDERATION_SECRET_FILE or AGENT_PEERS_FILE"
        );
    }
    let kernel = KernelPlane::load(&config)?;
    let now = Instant::now();
    let mut agent = Agent {
        _claim: claim,
        started: now,
        events,
        overlay,
        functions,
        proxy: ProxyTask::start(proxy_settings(&config, &node, kernel.mode, platform.gateway(), reload_command)),
        platform,
        peers: known_peers(&config, &node),
        rates: Rates::new(config.strategy.rate_window),
        rhythm: Rhythm::default(),
        steady: Steady::default(),
        answering: Answering::default(),
        planner,
        decision: Arc::new(Decision::default()),
        decided: now,
        spoken: Spoken::new(),
        comings: Sparse::default(),
        status: watch::channel(Arc::new(report::nothing(&node))).0,
        meters: Arc::new(Meters::new()?),
        kernel,
        node,
        config,
    };
    if let Err(e) = agent.take_up().await {
        agent.give_up().await;
        return Err(e);
    }
    let shown = http::Shown {
        status: agent.status.subscribe(),
        meters: agent.meters.clone(),
        overlay: agent.overlay.clone(),
        platform: agent.platform.clone(),
    };
    Ok((agent, http::serve(listener, shown)))
}

fn known_peers(config: &Config, node: &NodeId) -> Peers {
    let mut peers = Peers::new(node.clone(), config.terms());
    let addresses = [IpAddr::V4(*config.node.service.ip()), config.kernel.tunnel.into()];
    peers.set_ours(addresses.into_iter().chain(config.node.host.as_str().parse()).collect());
    peers
}

fn words(line: &str) -> Result<Vec<String>> {
    let wrong =
        || BadInput(format!("AGENT_HAPROXY_RELOAD_COMMAND={line}: a quote is not closed, or a backslash ends it"));
    Ok(shlex::split(line).ok_or_else(wrong)?)
}

fn proxy_settings(
    config: &Config,
    node: &NodeId,
    mode: Mode,
    gateway: Endpoint,
    reload_command: Vec<String>,
) -> ProxySettings {
    let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let placed = mode == Mode::Handoff;
    let own = config.node.service;
    let service = if config.node.service_alone { own.into() } else { any(own.port()) };
    ProxySettings {
        node: node.clone(),
        host: config.node.host.clone(),
        service: vec![service, any(config.node.peer_port)],
        placed: placed.then_some(config.kernel.placed.into()),
        placed_for: placed.then_some(config.node.service.into()),
        handoff: placed.then_some(config.kernel.handoff.into()),
        sticky: config.proxy.sticky,
        stages: config.planning.pace == Pace::Stages,
        gateway_host: gateway.host,
        gateway_port: gateway.port,
        exporter: None,
        run_dir: config.run_dir.join("haproxy"),
        program: config.proxy.binary.clone(),
        // Also of an agent whose file was replaced since it started.
        init: Some("/proc/self/exe".into()),
        user: None,
        instance: match config.proxy.kind {
            ProxyKind::Managed => Instance::Managed,
            ProxyKind::External => Instance::External(External {
                config: config.proxy.file.clone(),
                reload: reload_command,
                runtime_socket: config.proxy.socket.clone(),
            }),
        },
    }
}

impl Agent {
    /// Has both data planes obey a first decision, then lets packets to the programs.
    async fn take_up(&mut self) -> Result<()> {
        let inherited = self.kernel.inherited_peers();
        if inherited > 0 {
            tracing::info!("taking over from a former agent: waiting for its {inherited} peers");
            self.wait_for_inherited().await;
        }
        let now = Instant::now();
        self.decide(now);
        self.proxy.apply(self.decision.clone());
        self.proxy.tried().await;
        self.feed_kernel(now);
        self.kernel.attach(&self.config)?;
        self.tell_mode();
        self.status.send_replace(Arc::new(self.report(now)));
        Ok(())
    }

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

    /// Leaves nothing behind that was not there before.
    async fn give_up(mut self) {
        let started = !self.proxy.view.borrow().adopted;
        self.proxy.end(started).await;
        if self.kernel.is_fresh()
            && let Err(e) = self.kernel.detach().await
        {
            tracing::warn!("cannot take the kernel path away again: {e:#}");
        }
        if self.kernel.is_fresh()
            && let Err(e) = self.kernel.remove_exemption(&self.config)
        {
            tracing::warn!("cannot take the firewall's table away again: {e:#}");
        }
        self.overlay.shutdown().await;
        self.platform.stop().await;
    }

    pub(super) fn tell_mode(&self) {
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
