//! The command line.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use tokio::sync::mpsc;

use crate::{
    agent,
    config::{
        Config,
        keys::KEYS,
        sources::{Resolved, read_file},
    },
    kernel::network::{Network, interface_address},
    kernel::pins::Pins,
    logging,
    status::Status,
};

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Dotenv file with settings; flags and environment variables win over it");
    let settings = || {
        KEYS.iter().map(|key| {
            let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
            Arg::new(key.name)
                .long(key.flag())
                .value_name(key.value)
                .help(format!("{}{default} [env: {}]", key.help, key.name))
        })
    };
    let run = Command::new("run")
        .about("Run a node")
        .long_about(
            "Runs a node: joins the overlay, decides where calls go, writes the kernel's tables and HAProxy's \
             configuration.\n\nSIGTERM or SIGINT ends it. The kernel path and HAProxy then go on by the last decision, \
             and the next agent takes them over, unless --detach-on-exit is true.",
        )
        .arg(config.clone())
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print all settings with their origin, check them, and end"),
        )
        .args(settings());
    let status = Command::new("status")
        .about("Show what a running node does")
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("The whole status as JSON"))
        .arg(
            Arg::new("address")
                .long("address")
                .value_name("ADDRESS:PORT")
                .env("AGENT_HTTP_ADDRESS")
                .default_value("127.0.0.1:8090")
                .help("Where the agent's HTTP server listens"),
        );
    let detach = Command::new("detach")
        .about("Take the kernel path away")
        .long_about(
            "Removes the programs, maps and aliases of a node from the kernel. Connections that the kernel forwards at \
             this moment end. The agent should not run.",
        )
        .arg(config)
        .args(
            settings().filter(|arg| {
                ["AGENT_INTERFACE", "AGENT_PIN_DIR", "AGENT_ALIAS_RANGE"].contains(&arg.get_id().as_str())
            }),
        );
    Command::new("dfaas-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A node of a DFaaS federation")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([run, status, detach])
}

/// Parses the arguments and does what they say.
pub fn main() -> Result<()> {
    match command().get_matches().remove_subcommand() {
        Some((name, args)) if name == "run" => run(&args),
        Some((name, args)) if name == "status" => status(&args),
        Some((name, args)) if name == "detach" => detach(&args),
        _ => bail!("no command"),
    }
}

fn resolve(args: &ArgMatches) -> Result<Resolved> {
    let given = |name: &'static str| {
        let value = args.try_get_one::<String>(name).ok().flatten();
        value.map(|value| (name, value.clone()))
    };
    let flags: BTreeMap<_, _> = KEYS.iter().filter_map(|key| given(key.name)).collect();
    let file = match args.get_one::<PathBuf>("config") {
        Some(path) => read_file(path)?,
        None => BTreeMap::new(),
    };
    Ok(Resolved::new(&flags, |name| std::env::var(name).ok(), &file))
}

fn run(args: &ArgMatches) -> Result<()> {
    let resolved = resolve(args)?;
    if args.get_flag("print-config") {
        #[allow(clippy::print_stdout, reason = "the answer to the command")]
        {
            print!("{}", resolved.print());
        }
        Config::new(&resolved, interface_address)?;
        return Ok(());
    }
    let config = Config::new(&resolved, interface_address)?;
    logging::start(&config)?;
    for name in &resolved.unknown {
        tracing::warn!("the settings file has {name}, which this version does not know");
    }
    runtime()?.block_on(agent::run(config, stop_signal()?))
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

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn status(args: &ArgMatches) -> Result<()> {
    let address = args.get_one::<String>("address").map_or("", String::as_str);
    let url = format!("http://{address}/status");
    let text = runtime()?.block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
        client.get(&url).send().await?.error_for_status()?.text().await
    });
    let text = text.with_context(|| format!("no agent answers at {url}"))?;
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    if args.get_flag("json") {
        println!("{text}");
    } else {
        let status: Status = serde_json::from_str(&text).context("the agent's answer is not understood")?;
        print!("{}", status.text());
    }
    Ok(())
}

fn detach(args: &ArgMatches) -> Result<()> {
    let resolved = resolve(args)?;
    let config = Config::new(&resolved, interface_address)?;
    let removed = Pins::new(&config.kernel.pin_dir).remove_all()?;
    let aliases = runtime()?.block_on(async { Network::connect()?.remove_aliases(config.kernel.aliases).await })?;
    #[allow(clippy::print_stdout, reason = "the answer to the command")]
    {
        println!("removed {} pins from {} and {aliases} aliases", removed.len(), config.kernel.pin_dir.display());
    }
    Ok(())
}
