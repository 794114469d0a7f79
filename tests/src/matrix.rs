//! The command `federation matrix`: nodes on other kernels and other network drivers than this machine's, as guests
//! under QEMU.
//!
//! Each set of guests boots a kernel of the distribution from an archive made here, with the agent that was built
//! beside this program; the client is in a namespace of this machine, on the same bridge.

mod bed;
mod case;
mod cell;
mod cpio;
mod guest;
mod image;
mod kernel;
mod modules;
mod nic;
mod report;

pub use self::{
    bed::Setup,
    case::Case,
    cell::{Cell, Path as KernelPath},
    guest::QEMU,
    kernel::Kernel,
    nic::Nic,
};

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use dfaas_agent::kernel::mode::XdpPlace;

use crate::{
    emulator::{progress::Progress, xdp_place},
    federation::{Which, remove_leftovers},
    machine,
    stop::Stop,
    view,
};

#[derive(Args, Clone, Debug)]
pub struct MatrixArgs {
    /// A kernel that has been fetched, by its release or version; may be given several times
    #[arg(long = "kernel", value_name = "VERSION", required_unless_present = "list")]
    kernels: Vec<String>,
    /// Where fetched kernels are
    #[arg(long, value_name = "DIR", default_value = "target/matrix/kernels")]
    folder: PathBuf,
    /// Interface of the nodes; may be given several times [default: all that QEMU has]
    #[arg(long = "nic", value_name = "NAME")]
    nics: Vec<Nic>,
    /// Interface of the second node [default: as that of the first]
    #[arg(long, value_name = "NAME")]
    peer_nic: Option<Nic>,
    /// What to try; may be given several times [default: all]
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// Where XDP runs: native or generic [default: native, else generic]
    #[arg(long, value_parser = xdp_place)]
    xdp: Option<XdpPlace>,
    /// Results as JSON, one cell a line
    #[arg(long)]
    json: bool,
    /// Only say which interfaces and cases there are
    #[arg(long)]
    list: bool,
    /// Another QEMU than the installed one
    #[arg(long, value_name = "FILE", default_value = QEMU)]
    qemu: String,
    /// The agent's program [default: dfaas-agent beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Where consoles and messages of the guests go
    #[arg(long, value_name = "DIR", default_value = "target/matrix/logs")]
    directory: PathBuf,
}

pub fn run(args: &MatrixArgs) -> Result<ExitCode> {
    if args.list {
        list(&args.qemu)?;
        return Ok(ExitCode::SUCCESS);
    }
    machine::prepare()?;
    let stop = Stop::on_signals()?;
    remove_leftovers(&Which::Dead)?;
    let mut cells = Vec::new();
    for setup in args.setups()? {
        let progress = Progress::new();
        let title = setup.title();
        let cell = Cell::run(&setup, &args.wanted_cases(), &stop, &|text| progress.say(&format!("{title}: {text}")));
        if args.json {
            view::print(&serde_json::to_string(&cell)?)?;
        } else {
            eprintln!("{title}: {}", cell.text());
        }
        cells.push(cell);
        stop.check()?;
    }
    if !args.json {
        view::print(&report::text(&cells))?;
    }
    let is_ok = cells.iter().all(|cell| cell.faults().is_empty());
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl MatrixArgs {
    fn setups(&self) -> Result<Vec<Setup>> {
        let (known, unknown) = nic::known_to(&self.qemu)?;
        let wanted = if self.nics.is_empty() { &known } else { &self.nics };
        let lacking = wanted.iter().chain(&self.peer_nic).find(|nic| unknown.contains(nic));
        ensure!(
            lacking.is_none(),
            "this QEMU has no {}: expected one of those that --list names",
            lacking.map_or("", |nic| nic.name)
        );
        if self.nics.is_empty() {
            for nic in &unknown {
                eprintln!("not run: {nic}, which this QEMU has not");
            }
        }
        let agent = match &self.agent {
            Some(agent) => agent.clone(),
            None => std::env::current_exe().context("cannot find this program")?.with_file_name("dfaas-agent"),
        };
        let mut setups = Vec::new();
        for kernel in &self.kernels {
            let kernel = Kernel::find(&self.folder, kernel)?;
            for nic in wanted {
                setups.push(self.setup(kernel.clone(), *nic, &agent));
            }
        }
        Ok(setups)
    }

    fn setup(&self, kernel: Kernel, nic: Nic, agent: &Path) -> Setup {
        let pair = self.peer_nic.is_some() || self.wanted_cases().iter().any(|case| case.needs_peer());
        let second = pair.then(|| self.peer_nic.unwrap_or(nic));
        let nics: Vec<Nic> = [nic].into_iter().chain(second).collect();
        let logs = self.directory.join(format!("{}-{nic}", kernel.release));
        Setup { kernel, nics, xdp: self.xdp, qemu: self.qemu.clone(), agent: agent.to_owned(), logs }
    }

    fn wanted_cases(&self) -> Vec<Case> {
        if self.cases.is_empty() { Case::ALL.to_vec() } else { self.cases.clone() }
    }
}

fn list(qemu: &str) -> Result<()> {
    let (known, unknown) = nic::known_to(qemu)?;
    for nic in &known {
        view::print(&format!("interface  {nic}"))?;
    }
    for nic in &unknown {
        view::print(&format!("interface  {nic} (not in this QEMU)"))?;
    }
    for case in Case::ALL {
        view::print(&format!("case       {:<9}  {}", case.name(), case.text()))?;
    }
    Ok(())
}
