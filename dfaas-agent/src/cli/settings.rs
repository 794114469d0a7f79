//! Settings as arguments of commands.

use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf};

use anyhow::Result;
use clap::{Arg, ArgMatches, value_parser};
use dfaas_base::BadInput;

use crate::{
    config::{
        file,
        keys::KEYS,
        sources::{Origin, Resolved},
    },
    kernel::network::interface_address,
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

/// For checks that must not depend on an interface that may get its address later.
pub(super) fn address_or_none_yet(interface: &str) -> Option<Ipv4Addr> {
    interface_address(interface).or(Some(Ipv4Addr::UNSPECIFIED))
}

/// Flags over environment over file.
pub(super) fn resolve(args: &ArgMatches) -> Result<Resolved> {
    let given = |name: &'static str| {
        let value = args.try_get_one::<String>(name).ok().flatten();
        value.map(|value| (name, value.clone()))
    };
    let flags: BTreeMap<_, _> = KEYS.iter().filter_map(|key| given(key.name)).collect();
    let file = match args.get_one::<PathBuf>("config") {
        Some(path) => file::read(path).map_err(|e| BadInput(format!("{e:#}")))?,
        None => BTreeMap::new(),
    };
    let mut resolved = Resolved::new(&flags, |name| std::env::var(name).ok(), &file);
    let environment: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    resolved.note_unknown(&environment, Origin::Environment);
    Ok(resolved)
}
