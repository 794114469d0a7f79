//! `dfaas-agent run`: a node.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::sync::mpsc;

use super::{runtime, settings};
use crate::{agent, config::Config, kernel::network::interface_address, logging};

pub(super) fn command() -> Command {
    Command::new("run")
        .about("Run a node")
        .long_about(
            "Runs a node: joins the overlay, decides where calls go, writes the kernel's tables and HAProxy's \
             configuration.\n\nSIGTERM or SIGINT ends it. The kernel path and HAProxy then go on by the last decision, \
             and the next agent takes them over, unless --detach-on-exit is true.",
        )
        .arg(settings::config())
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print all settings with their origin, check them, and end"),
        )
        .args(settings::flags())
}

pub(super) fn run(args: &ArgMatches) -> Result<ExitCode> {
    let resolved = settings::resolve(args)?;
    if args.get_flag("print-config") {
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        {
            print!("{}", resolved.print());
        }
        Config::new(&resolved, interface_address)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::new(&resolved, interface_address)?;
    logging::start(&config)?;
    for name in &resolved.unknown {
        tracing::warn!("the settings file has {name}, which this version does not know");
    }
    runtime()?.block_on(agent::run(config, stop_signal()?))?;
    Ok(ExitCode::SUCCESS)
}

/// SIGINT or SIGTERM. Must be called before the runtime starts to serve; the channel holds the one message.
fn stop_signal() -> Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
                else {
                    return;
                };
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
                let _ = sender.send(()).await;
            });
        })
        .context("cannot start the signal thread")?;
    Ok(receiver)
}
