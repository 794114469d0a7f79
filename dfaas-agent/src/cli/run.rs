//! `dfaas-agent run`: a node.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Command};
use dfaas_base::{BadInput, command::runtime};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::settings;
use crate::{
    agent::{self, Order},
    config::{Config, sources::Resolved},
    kernel::network::interface_address,
    logging,
};

pub(super) fn command() -> Command {
    Command::new("run")
        .about("Run a node")
        .long_about(
            "Runs a node: joins the overlay, decides where calls go, writes the kernel's tables and HAProxy's \
             configuration.\n\nSIGTERM or SIGINT ends it. The kernel path and HAProxy then go on by the last decision, \
             and the next agent takes them over, unless --detach-on-exit is true.\n\nSIGHUP has it read the settings file \
             again: strategy, period, thresholds, members and what else the help marks [live] change without a lost \
             request.",
        )
        .arg(settings::config())
        .args(settings::flags())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let resolved = settings::resolve(args)?;
    let config = Config::new(&resolved, interface_address).map_err(|wrong| BadInput(wrong.to_string()))?;
    logging::start(&config)?;
    for name in &resolved.unknown {
        tracing::warn!("the settings file has {name}, which this version does not know");
    }
    let signals = follow_signals(args.clone(), resolved)?;
    runtime()?.block_on(agent::run(config, signals))?;
    Ok(ExitCode::SUCCESS)
}

/// SIGINT and SIGTERM end the agent, SIGHUP has it read its settings again. Must be called before the runtime starts
/// to serve; the channel is small because each message makes those before it worthless.
fn follow_signals(args: ArgMatches, resolved: Resolved) -> Result<mpsc::Receiver<Order>> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(pass_on(&args, resolved, &sender));
        })
        .context("cannot start the signal thread")?;
    Ok(receiver)
}

async fn pass_on(args: &ArgMatches, mut in_force: Resolved, orders: &mpsc::Sender<Order>) {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) = signals else { return };
    loop {
        let order = tokio::select! {
            _ = term.recv() => Order::Stop,
            _ = int.recv() => Order::Stop,
            _ = hup.recv() => match read_again(args, &mut in_force) {
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
fn read_again(args: &ArgMatches, in_force: &mut Resolved) -> Result<Config> {
    let fresh = settings::resolve(args)?;
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
