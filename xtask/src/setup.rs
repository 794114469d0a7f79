//! What a bare machine lacks: reported as a table, or installed. Never installs what is there.

pub(crate) mod apt;
mod report;
mod tools;

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{
    build_ebpf::{compiler, find_objcopy, linker},
    project::{Project, find_program},
    step::{Step, say},
    versions::{BPF_LINKER, DEBIAN_RUSTC, KERNEL_NIGHTLY, KERNEL_RUSTC_LEAST},
};
pub(crate) use report::{Finding, Remedy, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Compiler and linker of the kernel programs
    Kernel,
    /// `HAProxy` and the network tools a node and the emulated federation use
    Proxy,
    /// Programs that the sample functions run
    Functions,
    /// Load generators and inspection tools of the tests
    Tests,
    /// What the foreign peer of the suite tests/interop runs on
    Interop,
}

/// The command `cargo xtask setup`: the whole table, then the installation.
pub(crate) fn run(project: &Project, parts: &[Part], no_install: bool) -> Result<()> {
    say("setup: what is here");
    let findings = inspect(project, parts);
    print!("{}", report::table(&findings));
    let missing = report::missing(&findings);
    if missing.is_empty() {
        println!("nothing is missing");
        return Ok(());
    }
    if no_install {
        bail!("missing: {}", report::names(&missing));
    }
    install(project, parts, findings)
}

/// The set-up before another command: one line if nothing is missing.
pub(crate) fn ensure(project: &Project, parts: &[Part], no_install: bool) -> Result<()> {
    let findings = inspect(project, parts);
    if report::missing(&findings).is_empty() {
        say(&format!("setup: nothing is missing ({} things looked for)", findings.len()));
        return Ok(());
    }
    run(project, parts, no_install)
}

fn inspect(project: &Project, parts: &[Part]) -> Vec<Finding> {
    let kernel = if parts.contains(&Part::Kernel) { inspect_kernel(project) } else { Vec::new() };
    let tools = tools::ALL.iter().filter(|tool| parts.contains(&tool.part)).map(tools::Tool::inspect);
    kernel.into_iter().chain(tools).collect()
}

fn inspect_kernel(project: &Project) -> Vec<Finding> {
    let compiler = compiler::find();
    let rustc = Finding {
        what: format!("kernel-side rustc {KERNEL_RUSTC_LEAST} or later, with library sources"),
        needed_for: "compiling the kernel programs",
        state: compiler.as_ref().map_or_else(|e| State::Missing(e.refused.join("; ")), |c| State::Found(c.to_string())),
        remedy: compiler_remedy(),
        optional: false,
    };
    let linker = match &compiler {
        Ok(compiler) => linker::find(project, compiler.version.llvm_major).map_or_else(
            |e| State::Missing(format!("{e:#}")),
            |path| State::Found(project.relative(&path).display().to_string()),
        ),
        Err(_) => State::Missing("its LLVM is that of the compiler".to_owned()),
    };
    let linker = Finding {
        what: format!("bpf-linker {BPF_LINKER}"),
        needed_for: "linking the kernel programs",
        state: linker,
        remedy: Remedy::BpfLinker,
        optional: false,
    };
    let objcopy = compiler.as_ref().ok().and_then(find_objcopy).or_else(|| find_program(&["llvm-objcopy"]));
    let objcopy = Finding {
        what: "llvm-objcopy".to_owned(),
        needed_for: "stripping the kernel object",
        state: objcopy.map_or_else(State::missing, |path| State::Found(path.display().to_string())),
        remedy: Remedy::Packages(&[&["llvm"]]),
        optional: false,
    };
    vec![rustc, linker, objcopy]
}

/// The distribution's compiler where it is recent enough, else rustup's nightly.
fn compiler_remedy() -> Remedy {
    if compiler::is_named_by_hand() {
        return Remedy::ByHand("name another compiler in DFAAS_EBPF_RUSTC, or none");
    }
    let candidate = apt::candidate(DEBIAN_RUSTC[0]).unwrap_or_default();
    // Before the first `apt-get update` Debian knows no candidate at all, and may still have one.
    if compiler::version_is_at_least(&candidate, KERNEL_RUSTC_LEAST) || apt::lacks_lists() {
        Remedy::Packages(&[&DEBIAN_RUSTC])
    } else if find_program(&["rustup"]).is_some() {
        Remedy::Nightly
    } else {
        Remedy::ByHand("install rustup, or name a compiler in DFAAS_EBPF_RUSTC")
    }
}

fn install(project: &Project, parts: &[Part], mut findings: Vec<Finding>) -> Result<()> {
    let updated = apt::lacks_lists();
    if updated {
        apt::update(project)?;
        findings = inspect(project, parts);
    }
    let wanted = findings.iter().filter(|finding| !finding.is_found());
    let packages: Vec<_> = wanted.filter_map(|finding| finding.remedy.packages()).collect();
    if !packages.is_empty() {
        apt::install(project, &packages, updated)?;
    }
    if parts.contains(&Part::Kernel) {
        install_kernel(project)?;
    }
    let findings = inspect(project, parts);
    let missing = report::missing(&findings);
    if !missing.is_empty() {
        print!("{}", report::table(&findings));
        bail!("still missing after the installation: {}", report::names(&missing));
    }
    say("setup: complete");
    Ok(())
}

fn install_kernel(project: &Project) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(15);
    if compiler::find().is_err() && matches!(compiler_remedy(), Remedy::Nightly) {
        let rustup = find_program(&["rustup"]).context("rustup has gone")?;
        let mut command = Command::new(rustup);
        command.args(["toolchain", "install", KERNEL_NIGHTLY, "--profile", "minimal", "--component", "rust-src"]);
        // Without it rustup replaces itself too, by whatever version its server offers.
        command.arg("--no-self-update");
        Step::new(format!("rustup {KERNEL_NIGHTLY} with rust-src"), command, LIMIT).run(project)?;
    }
    let compiler = compiler::find()?;
    if linker::find(project, compiler.version.llvm_major).is_err() {
        linker::install(project, &compiler)?;
    }
    Ok(())
}
