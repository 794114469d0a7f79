//! What a bare machine lacks: reported as a table, or installed. Never installs what is there.

pub(crate) mod apt;
mod plan;
mod report;
mod this_machine;
mod tools;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{
    build_ebpf::{compiler, find_objcopy, linker},
    project::{Project, find_program},
    step::say,
    versions::{BPF_LINKER, DEBIAN_RUSTC, KERNEL_RUSTC_LEAST},
};
use report::{Finding, Otherwise, Remedy, State};
use this_machine::ThisMachine;

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
    /// What makes the Debian roots of the clean-room test
    Roots,
    /// What compiles the engine of `cargo xtask fuzz`
    Fuzz,
}

impl Part {
    /// What an emulated federation needs.
    pub(crate) const OF_A_FEDERATION: [Self; 4] = [Self::Kernel, Self::Proxy, Self::Functions, Self::Tests];
    /// What `cargo xtask test` needs.
    pub(crate) const OF_THE_TESTS: [Self; 6] =
        [Self::Kernel, Self::Proxy, Self::Functions, Self::Tests, Self::Interop, Self::Roots];
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
    install(project, parts)
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

/// Why one of these programs of the table cannot be used on this machine.
pub(crate) fn unusable(programs: &[&str]) -> Option<String> {
    let findings = tools::ALL.iter().filter(|tool| tool.is_one_of(programs)).map(tools::Tool::inspect);
    report::unusable(&findings.collect::<Vec<_>>())
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
        remedy: Remedy { otherwise: Some(Otherwise::BpfLinker), ..Remedy::packages(&[]) },
        optional: false,
    };
    let objcopy = compiler.as_ref().ok().and_then(find_objcopy).or_else(|| find_program(&["llvm-objcopy"]));
    let objcopy = Finding {
        what: "llvm-objcopy".to_owned(),
        needed_for: "stripping the kernel object",
        state: objcopy.map_or_else(State::missing, |path| State::Found(path.display().to_string())),
        remedy: Remedy::packages(&[&["llvm"]]),
        optional: false,
    };
    vec![rustc, linker, objcopy]
}

/// The distribution's compiler where it is recent enough, else rustup's nightly.
fn compiler_remedy() -> Remedy {
    if compiler::is_named_by_hand() {
        return Remedy::by_hand("name another compiler in DFAAS_EBPF_RUSTC, or none");
    }
    Remedy {
        sets: &[&DEBIAN_RUSTC],
        least: Some((DEBIAN_RUSTC[0], KERNEL_RUSTC_LEAST)),
        otherwise: Some(Otherwise::Nightly),
    }
}

/// Every package that the set-up may choose.
fn all_packages() -> Vec<&'static str> {
    let tools = tools::ALL.iter().flat_map(|tool| tool.remedy.sets.iter());
    let names = tools.flat_map(|set| set.iter().copied());
    names.chain(DEBIAN_RUSTC).chain(["llvm"]).collect()
}

fn install(project: &Project, parts: &[Part]) -> Result<()> {
    let result = plan::complete(&mut ThisMachine::new(project, parts));
    if result.is_err() {
        print!("{}", report::table(&inspect(project, parts)));
    }
    result?;
    say("setup: complete");
    Ok(())
}
