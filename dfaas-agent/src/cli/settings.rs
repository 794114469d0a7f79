//! Settings as arguments of commands.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use clap::{Arg, ArgMatches, value_parser};

use crate::config::{
    keys::KEYS,
    sources::{Resolved, read_file},
};

/// `--config FILE`.
pub(super) fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Dotenv file with settings; flags and environment variables win over it")
}

/// A flag for every setting.
pub(super) fn flags() -> impl Iterator<Item = Arg> {
    KEYS.iter().map(|key| {
        let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
        Arg::new(key.name).long(key.flag()).value_name(key.value).help(format!(
            "{}{default} [env: {}]{}",
            key.help,
            key.name,
            if key.live { " [live]" } else { "" }
        ))
    })
}

/// Flags over environment over file.
pub(super) fn resolve(args: &ArgMatches) -> Result<Resolved> {
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
