//! All that can fail at the start without a change to kernel or HAProxy: directories, the claim to them, ports, keys, lists,
//! models, the platform.

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use dfaas_base::BadInput;
use nix::sys::stat::{Mode, umask};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use super::super::{
    planner::Planner,
    platform_task::{self, PlatformView},
};
use crate::{
    config::Config,
    name::NodeId,
    p2p::{self, OverlayEvent, OverlayHandle, OverlaySettings, identity::Identity},
    platform::{Platform, Startup},
};

pub(super) struct Ground {
    pub(super) claim: Claim,
    pub(super) http: TcpListener,
    pub(super) node: NodeId,
    pub(super) platform: Arc<dyn Platform>,
    pub(super) functions: watch::Receiver<PlatformView>,
    pub(super) overlay: OverlayHandle,
    pub(super) events: mpsc::Receiver<OverlayEvent>,
    pub(super) planner: Planner,
}

impl Ground {
    pub(super) async fn prepare(config: &Config) -> Result<Self> {
        // HAProxy and functions have users of their own, and must get at what is meant for them whatever the caller's umask. What is
        // secret has its mode said where it is made.
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
        for directory in [&config.state_dir, &config.run_dir] {
            std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let claim = Claim::take(&config.run_dir)?;
        let address = config.http_address;
        let http = TcpListener::bind(address)
            .await
            .with_context(|| format!("AGENT_HTTP_ADDRESS={address}: cannot listen there"))?;
        let identity = Identity::load_or_create(&config.overlay.private_key_file)?;
        let node = identity.node_id.clone();
        tracing::info!(%node, host = %config.node.host, strategy = %config.strategy.strategy, "node");
        let settings = overlay_settings(config, identity)?;
        let platform = config.platform.kind.start(startup(config)).await?;
        let model_log = config.state_dir.join("rl_model.log");
        let planner = Planner::start(node.clone(), platform.clone(), &config.planning, model_log)?;
        let (overlay, events) = p2p::start(settings)?;
        let functions = platform_task::start(platform.clone(), config.platform.rate_limits.clone()).await;
        Ok(Self { claim, http, node, platform, functions, overlay, events, planner })
    }
}

/// One agent at a time has a run directory: two would undo each other's work. The claim ends with the process.
pub(in crate::agent) struct Claim {
    _file: File,
}

impl Claim {
    fn take(run_dir: &Path) -> Result<Self> {
        let path = run_dir.join("agent.lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("another agent runs with AGENT_RUN_DIR={}: end it first", run_dir.display())
            }
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

fn overlay_settings(config: &Config, identity: Identity) -> Result<OverlaySettings> {
    let members = match &config.overlay.members_file {
        Some(file) => Some((file.clone(), members_of(file)?)),
        None => None,
    };
    Ok(OverlaySettings {
        listen: config.overlay.listen.clone(),
        bootstrap: config.overlay.bootstrap.clone(),
        topic: config.overlay.topic.clone(),
        rendezvous: config.overlay.rendezvous.clone(),
        dht: config.overlay.dht,
        mdns: config.overlay.mdns,
        search_pause: config.overlay.search_pause,
        members,
        secret: config.overlay.secret.clone(),
        max_connections: config.overlay.max_connections,
        message_rate: config.overlay.message_rate,
        ..OverlaySettings::new(identity.keypair)
    })
}

fn members_of(file: &Path) -> Result<BTreeSet<NodeId>> {
    Ok(p2p::members::read(file).map_err(|error| BadInput(format!("AGENT_PEERS_FILE: {error:#}")))?)
}

fn startup(config: &Config) -> Startup {
    let p = &config.platform;
    Startup {
        gateway_host: p.gateway_host.clone(),
        gateway_port: p.gateway_port,
        credentials: p.given_credentials(),
        embedded_address: p.embedded_address,
        embedded_user: p.embedded_user.clone(),
        embedded_folders: p.embedded_folders.clone(),
        max_rates: p.rate_limits.clone(),
        state_dir: config.state_dir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_at_a_time_has_a_run_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = Claim::take(directory.path()).unwrap();
        let error = Claim::take(directory.path()).err().unwrap().to_string();
        assert!(error.contains("another agent runs with AGENT_RUN_DIR="), "{error}");
        drop(first);
        Claim::take(directory.path()).unwrap();
    }
}
