//! `dfaas-agent load`: the load player.

mod attack;
mod play;
mod results;
mod run;
mod scenario;
mod trace;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use dfaas_base::BadInput;

/// Play a load against nodes, and measure
#[derive(Debug, Args)]
#[command(
    long_about = "Plays requests at planned times, whether or not earlier ones have been answered, and measures each from \
                  the moment it was due: a server that stalls is seen by every request that was due meanwhile.\n\nResults \
                  are written to the folder of --out: summary.json, requests.csv, results.json (as vegeta's), report.txt \
                  and charts."
)]
pub struct Load {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Scenario(scenario::Scenario),
    Trace(Box<trace::Trace>),
    Attack(attack::Attack),
    Report(results::Report),
    Plot(results::Plot),
}

impl Load {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Run(command) => command.run(),
            Command::Scenario(command) => command.run(),
            Command::Trace(command) => command.run(),
            Command::Attack(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Plot(command) => command.run(),
        }
    }
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
        Load::augment_args(clap::Command::new("load")).debug_assert();
    }
}
