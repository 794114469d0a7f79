//! `dfaas-agent run`: a node.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use dfaas_base::{BadInput, command::runtime};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::settings::{Settings, address_or_none_yet};
use crate::{
    agent::{self, Order},
    config::{Config, keys, setting::Key, sources::Resolved},
    kernel::{mode::Mode, network::interface_address},
    logging, supervisor,
};

/// Settings whose default is the interface's address.
const FROM_INTERFACE: [&Key; 2] = [&keys::SERVICE_ADDRESS.key, &keys::TUNNEL_ADDRESS.key];
/// How often a missing interface is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// What the service manager grants a start that waits, each time.
const LONGER: Duration = Duration::from_secs(30);

/// Run a node
#[derive(Debug, Args)]
#[command(
    long_about = "Runs a node: joins the overlay, decides where calls go, writes the kernel's tables and HAProxy's \
                  configuration.\n\nSIGTERM or SIGINT ends it. The kernel path and HAProxy then go on by the last \
                  decision, and the next agent takes them over, unless --detach-on-exit is true.\n\nSIGHUP has it read \
                  the settings file again: strategy, period, thresholds, members and what else the help marks [live] \
                  change without a lost request."
)]
pub struct Run {
    #[command(flatten)]
    settings: Settings,
}

impl Run {
    pub fn run(self) -> Result<ExitCode> {
        let resolved = self.settings.resolve()?;
        // What is wrong whatever the interface's address will be.
        let draft = Config::new(&resolved, address_or_none_yet).map_err(|wrong| BadInput(wrong.to_string()))?;
        logging::start(&draft)?;
        let config = wait_for_interface(&resolved, &draft)?;
        for remark in resolved.complaints().iter().chain(&config.remarks) {
            tracing::warn!("{remark}");
        }
        let signals = follow_signals(self.settings, resolved)?;
        runtime()?.block_on(agent::run(config, signals))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Until the interface is there, with an address unless all that would come from it is set: it may come long after boot.
fn wait_for_interface(resolved: &Resolved, draft: &Config) -> Result<Config> {
    if draft.kernel.mode == Some(Mode::Off)
        && let Ok(config) = Config::new(resolved, interface_address)
    {
        return Ok(config);
    }
    let name = draft.kernel.interface.as_str();
    let needs_address = FROM_INTERFACE.iter().any(|key| resolved.text(key).is_empty());
    let mut told = "";
    loop {
        let missing = if nix::net::if_::if_nametoindex(name).is_err() {
            "is not there"
        } else if needs_address && interface_address(name).is_none() {
            "has no IPv4 address"
        } else {
            return Ok(Config::new(resolved, interface_address)?);
        };
        let text = format!("AGENT_INTERFACE: {name} {missing} yet: waiting for it");
        if told != missing {
            tracing::warn!("{text}");
            told = missing;
        }
        supervisor::waiting(&text, LONGER);
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// SIGINT and SIGTERM end the agent, SIGHUP has it read its settings again. Must be called before the runtime starts
/// to serve; the channel is small because each message makes those before it worthless.
fn follow_signals(settings: Settings, resolved: Resolved) -> Result<mpsc::Receiver<Order>> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(pass_on(&settings, resolved, &sender));
        })
        .context("cannot start the signal thread")?;
    Ok(receiver)
}

async fn pass_on(settings: &Settings, mut in_force: Resolved, orders: &mpsc::Sender<Order>) {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) = signals else { return };
    loop {
        let order = tokio::select! {
            _ = term.recv() => Order::Stop,
            _ = int.recv() => Order::Stop,
            _ = hup.recv() => match read_again(settings, &mut in_force) {
                Ok(config) => Order::Reload(Box::new(config)),
                Err(e) => {
                    tracing::error!("the settings stay as they are: {e:#}");
                    continue;
                }
            },
        };
        if orders.send(order).await.is_err() {
            return;
        }
    }
}

/// The settings as they are now. Those that a running agent cannot take over keep their old text.
fn read_again(settings: &Settings, in_force: &mut Resolved) -> Result<Config> {
    let fresh = settings.resolve()?;
    let differences = fresh.differences(in_force);
    for key in differences.iter().filter(|key| !key.live) {
        tracing::warn!("{} has changed; it takes effect when the agent is started again", key.name);
    }
    let names: Vec<_> = differences.iter().filter(|key| key.live).map(|key| key.name).collect();
    let merged = in_force.with_live_of(&fresh);
    let config = Config::new(&merged, interface_address)?;
    *in_force = merged;
    let changed = if names.is_empty() { "no setting".to_owned() } else { names.join(", ") };
    tracing::info!("settings read again: {changed} changed");
    Ok(config)
}
