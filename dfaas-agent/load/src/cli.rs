//! `dfaas-agent load`: the load player.

mod attack;
mod play;
mod results;
mod run;
mod scenario;
mod trace;

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Command};
use dfaas_base::{
    BadInput,
    command::{Entry, group, run_below},
};

fn entries() -> Vec<Entry> {
    vec![
        Entry { command: run::command(), run: run::run },
        Entry { command: scenario::command(), run: scenario::run },
        Entry { command: trace::command(), run: trace::run },
        Entry { command: attack::command(), run: attack::run },
        Entry { command: results::report_command(), run: results::report },
        Entry { command: results::plot_command(), run: results::plot },
    ]
}

pub fn command() -> Command {
    let command = Command::new("load").about("Play a load against nodes, and measure").long_about(
        "Plays requests at planned times, whether or not earlier ones have been answered, and measures each from \
             the moment it was due: a server that stalls is seen by every request that was due meanwhile.\n\nResults \
             are written to the folder of --out: summary.json, requests.csv, results.json (as vegeta's), report.txt \
             and charts.",
    );
    group(command, entries())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode> {
    run_below(entries(), args)
}

/// `load attack` takes vegeta's flags, whose long names have one dash.
pub fn with_double_dashes(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.len() > 3 && args[1] == "load" && args[2] == "attack" {
        for arg in &mut args[3..] {
            let text = arg.to_string_lossy();
            let long = text
                .strip_prefix('-')
                .filter(|rest| rest.len() > 1 && rest.starts_with(|c: char| c.is_ascii_lowercase()));
            if long.is_some() {
                *arg = OsString::from(format!("-{text}"));
            }
        }
    }
    args
}

/// An argument of its own type, with its errors as the type says them.
fn arg<T: Clone + Send + Sync + 'static>(
    name: &'static str,
    value: &'static str,
    parser: fn(&str) -> Result<T, String>,
    help: &'static str,
) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(parser).help(help)
}

fn get<T: Clone + Send + Sync + 'static>(args: &ArgMatches, name: &str) -> Result<T> {
    args.get_one(name).cloned().with_context(|| format!("--{name} is missing"))
}

fn bad(argument: &str) -> impl Fn(String) -> BadInput {
    move |e| BadInput(format!("--{argument}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_vegeta_get_their_second_dash() {
        let given = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let args = with_double_dashes(given("dfaas-agent load attack -rate=50/s -duration 5m --name x -h -1"));
        assert_eq!(args, given("dfaas-agent load attack --rate=50/s --duration 5m --name x -h -1"));
        let other = given("dfaas-agent load run -rate=50");
        assert_eq!(with_double_dashes(other.clone()), other);
    }

    #[test]
    fn every_command_is_well_formed() {
        command().debug_assert();
    }
}
