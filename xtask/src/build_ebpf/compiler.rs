//! Chooses the compiler of the kernel programs: one that has the sources of its own `core`.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::rustc_version::{RustcVersion, is_at_least};
use crate::{
    project::find_program,
    step::text_of,
    versions::{BPF_LINKER_LLVM_MAJORS, DEBIAN_RUSTC, KERNEL_NIGHTLY, KERNEL_RUSTC_LEAST},
};

pub(crate) use super::rustc_version::is_at_least as version_is_at_least;

/// Names a compiler by hand; then no other is tried.
pub(crate) const VARIABLE: &str = "DFAAS_EBPF_RUSTC";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Environment,
    Nightly(String),
    Distribution,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str(VARIABLE),
            Self::Nightly(name) => write!(f, "rustup {name}"),
            Self::Distribution => f.write_str("distribution"),
        }
    }
}

/// A compiler that can build the kernel programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) origin: Origin,
    pub(crate) rustc: PathBuf,
    pub(crate) sysroot: PathBuf,
    pub(crate) version: RustcVersion,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} ({}, LLVM {})", self.version.release, self.origin, self.version.llvm_major)
    }
}

impl Compiler {
    /// A tool of the same toolchain.
    pub(crate) fn sibling(&self, name: &str) -> Option<PathBuf> {
        self.rustc.parent().map(|folder| folder.join(name)).filter(|file| file.is_file())
    }
}

/// A compiler as found, fit or not.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) origin: Origin,
    pub(crate) rustc: PathBuf,
    /// Output of `rustc -vV`; `None` if it does not run.
    pub(crate) description: Option<String>,
    pub(crate) sysroot: PathBuf,
    pub(crate) has_sources: bool,
}

/// No compiler is fit; why, one reason per candidate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoCompiler {
    pub(crate) refused: Vec<String>,
}

impl fmt::Display for NoCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no rustc for the kernel programs, expected {KERNEL_RUSTC_LEAST} or later with its library sources")?;
        self.refused.iter().try_for_each(|reason| write!(f, "\n  {reason}"))?;
        write!(
            f,
            "\n  install one of: `apt-get install {}` (Debian), `rustup toolchain install {KERNEL_NIGHTLY} --profile \
             minimal --component rust-src`, or name one in {VARIABLE}",
            DEBIAN_RUSTC.join(" ")
        )
    }
}

impl std::error::Error for NoCompiler {}

pub(crate) fn is_named_by_hand() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

pub(crate) fn find() -> Result<Compiler, NoCompiler> {
    choose(&candidates())
}

/// The first fit candidate. One named by hand is taken or refused, never passed over.
pub(crate) fn choose(candidates: &[Candidate]) -> Result<Compiler, NoCompiler> {
    let mut refused = Vec::new();
    for candidate in candidates {
        match judge(candidate) {
            Ok(compiler) => return Ok(compiler),
            Err(reason) => refused.push(format!("{} {}: {reason}", candidate.origin, candidate.rustc.display())),
        }
        if candidate.origin == Origin::Environment {
            break;
        }
    }
    Err(NoCompiler { refused })
}

fn judge(candidate: &Candidate) -> Result<Compiler, String> {
    let text = candidate.description.as_deref().ok_or("does not run")?;
    let version = RustcVersion::parse(text).map_err(|error| error.to_string())?;
    if !is_at_least(&version.release, KERNEL_RUSTC_LEAST) {
        return Err(format!("version {}, expected {KERNEL_RUSTC_LEAST} or later", version.release));
    }
    if !candidate.has_sources {
        return Err(format!("version {} without its library sources (component rust-src)", version.release));
    }
    if !BPF_LINKER_LLVM_MAJORS.contains(&version.llvm_major) {
        return Err(format!("LLVM {}, expected one of {BPF_LINKER_LLVM_MAJORS:?}", version.llvm_major));
    }
    let Candidate { origin, rustc, sysroot, .. } = candidate.clone();
    Ok(Compiler { origin, rustc, sysroot, version })
}

fn candidates() -> Vec<Candidate> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return vec![inspect(Origin::Environment, PathBuf::from(named))];
    }
    let nightlies = nightlies().into_iter().map(|(name, rustc)| inspect(Origin::Nightly(name), rustc));
    // Not by PATH, where rustup's proxy of the same name comes first.
    let distribution = Path::new("/usr/bin/rustc");
    let distribution = distribution.is_file().then(|| inspect(Origin::Distribution, distribution.to_path_buf()));
    nightlies.chain(distribution).collect()
}

fn inspect(origin: Origin, rustc: PathBuf) -> Candidate {
    let ask = |args: &[&str]| {
        let mut command = Command::new(&rustc);
        command.args(args).env_remove("LD_LIBRARY_PATH");
        text_of(command)
    };
    let sysroot = PathBuf::from(ask(&["--print", "sysroot"]).unwrap_or_default().trim());
    let has_sources = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file();
    Candidate { description: ask(&["-vV"]), origin, rustc, sysroot, has_sources }
}

/// rustup's nightlies: the pinned one, then the undated, then the newest date.
fn nightlies() -> Vec<(String, PathBuf)> {
    let Some(rustup) = find_program(&["rustup"]) else { return Vec::new() };
    let mut home = Command::new(rustup);
    home.args(["show", "home"]);
    let toolchains = PathBuf::from(text_of(home).unwrap_or_default().trim()).join("toolchains");
    let entries = fs::read_dir(&toolchains).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    in_order(names.collect()).into_iter().map(|name| (name.clone(), toolchains.join(name).join("bin/rustc"))).collect()
}

fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| name.starts_with("nightly-"));
    let dated = |name: &String| name["nightly-".len()..].starts_with(|c: char| c.is_ascii_digit());
    names.sort_by_key(|name| {
        let rank = if name.starts_with(KERNEL_NIGHTLY) { 0 } else { 1 + u8::from(dated(name)) };
        (rank, std::cmp::Reverse(name.clone()))
    });
    names
}

#[cfg(test)]
mod tests;
