//! Everything about the text of the code: format, lints, documentation, licences, names of single machines.

mod dependencies;
mod deploy;
mod layers;
mod licences;
mod machine_names;
mod packages;

use std::{process::Command, time::Duration};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    build_ebpf,
    project::Project,
    setup::{self, Part},
    step::Step,
};

const LIMIT: Duration = Duration::from_mins(30);

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CheckArgs {
    /// Only report what the kernel part lacks; fail if something is missing
    #[arg(long)]
    no_install: bool,
}

type Check = (&'static str, fn(&Project) -> Result<()>);

const CHECKS: [Check; 10] = [
    ("format", format),
    ("host lints", host_lints),
    ("parts alone", parts_alone),
    ("kernel lints", build_ebpf::lint),
    ("documentation", documentation),
    ("layers", layers::check),
    ("licences", licences::check),
    ("dependencies", dependencies::check),
    ("example settings", deploy::check),
    ("names of single machines", machine_names::check),
];

/// Runs all checks, also after one failed, then names the failed.
pub(crate) fn run(project: &Project, args: CheckArgs) -> Result<()> {
    setup::ensure(project, &[Part::Kernel], args.no_install)?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check(project) {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("all {} checks passed", CHECKS.len());
        return Ok(());
    }
    bail!("{} of {} checks failed: {}", failed.len(), CHECKS.len(), failed.join(", "))
}

fn format(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["fmt", "--all", "--check"]);
    Step::new("rustfmt", with_component(cargo), LIMIT).run(project).map(drop)
}

fn host_lints(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["clippy", "--workspace", "--exclude", "dfaas-ebpf", "--all-targets", "--", "-D", "warnings"]);
    Step::new("clippy", with_component(cargo), LIMIT).run(project).map(drop)
}

/// The program with none and with one of its features: what only both together bring in is not to be missed.
fn parts_alone(project: &Project) -> Result<()> {
    for features in ["", "load", "simulate"] {
        let mut cargo = project.cargo();
        cargo.args(["clippy", "--package", "dfaas-program", "--bins", "--no-default-features", "--features", features]);
        cargo.args(["--", "-D", "warnings"]);
        let name = if features.is_empty() { "no feature" } else { features };
        Step::new(format!("program with {name}"), with_component(cargo), LIMIT).run(project)?;
    }
    Ok(())
}

/// Cargo itself says how to add a missing rustfmt or clippy; in English, so that logs are alike.
fn with_component(mut cargo: Command) -> Command {
    cargo.env("LC_ALL", "C.UTF-8");
    cargo
}

fn documentation(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["doc", "--workspace", "--exclude", "dfaas-ebpf", "--no-deps", "--document-private-items"]);
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    Step::new("rustdoc", cargo, LIMIT).run(project).map(drop)
}
