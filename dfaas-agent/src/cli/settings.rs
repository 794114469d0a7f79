//! Settings as arguments of commands.

use std::{collections::BTreeMap, fmt, marker::PhantomData, net::Ipv4Addr, path::PathBuf};

use anyhow::Result;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use dfaas_base::BadInput;

use crate::{
    config::{
        file,
        keys::KEYS,
        setting::Key,
        sources::{Origin, Resolved},
    },
    kernel::network::interface_address,
};

/// Which settings a command has a flag for.
pub(super) trait Selection: Clone + fmt::Debug + Send + Sync + 'static {
    fn has(key: &Key) -> bool;
}

#[derive(Clone, Copy, Debug)]
pub(super) struct All;

impl Selection for All {
    fn has(_: &Key) -> bool {
        true
    }
}

/// What the command line says of the settings.
#[derive(Clone, Debug, Args)]
pub(super) struct Settings<S: Selection = All> {
    /// Dotenv file with settings; flags and environment variables win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags<S>,
}

impl<S: Selection> Settings<S> {
    /// Flags over environment over file.
    pub(super) fn resolve(&self) -> Result<Resolved> {
        let file = match &self.config {
            Some(path) => file::read(path).map_err(|e| BadInput(format!("{e:#}")))?,
            None => BTreeMap::new(),
        };
        let mut resolved = Resolved::new(&self.flags.given, |name| std::env::var(name).ok(), &file);
        let environment: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        resolved.note_unknown(&environment, Origin::Environment);
        Ok(resolved)
    }
}

/// A flag for every selected setting of the table, which no derive knows.
#[derive(Clone, Debug)]
struct Flags<S> {
    /// By the name of the setting.
    given: BTreeMap<&'static str, String>,
    selection: PhantomData<S>,
}

fn selected<S: Selection>() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| S::has(key))
}

impl<S: Selection> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        command.args(selected::<S>().map(|key| {
            let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
            let live = if key.live { " [live]" } else { "" };
            let help = format!("{}{default} [env: {}]{live}", key.help, key.name);
            Arg::new(key.name).long(key.flag()).value_name(key.value).help(help)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Selection> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: &Key| Some((key.name, matches.get_one::<String>(key.name)?.clone()));
        Ok(Self { given: selected::<S>().filter_map(value).collect(), selection: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given.extend(Self::from_arg_matches(matches)?.given);
        Ok(())
    }
}

/// For checks that must not depend on an interface that may get its address later.
pub(super) fn address_or_none_yet(interface: &str) -> Option<Ipv4Addr> {
    interface_address(interface).or(Some(Ipv4Addr::UNSPECIFIED))
}
