//! bpf-linker: found, or built into `target/tools` against the LLVM that the kernel-side compiler uses.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::compiler::Compiler;
use crate::{project::Project, step::Step, step::text_of, versions::BPF_LINKER};

/// Names a bpf-linker by hand; it must be linked against the compiler's LLVM major.
pub(crate) const VARIABLE: &str = "DFAAS_BPF_LINKER";

const LIMIT: Duration = Duration::from_mins(30);

/// The linker to use, or what is wrong with the one that is there.
pub(crate) fn find(project: &Project, llvm_major: u32) -> Result<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return check_version(PathBuf::from(named));
    }
    let tools = project.tools();
    let linker = tools.join("bin/bpf-linker");
    let place = project.relative(&tools).display();
    if !linker.is_file() {
        bail!("none in {place}");
    }
    let record = fs::read_to_string(tools.join(".crates2.json")).unwrap_or_default();
    if !record_says(&record, llvm_major) {
        bail!("the one in {place} is not {BPF_LINKER} for LLVM {llvm_major}");
    }
    // It may be linked against a library that an upgrade has since removed.
    check_version(linker)
}

fn check_version(linker: PathBuf) -> Result<PathBuf> {
    let mut command = Command::new(&linker);
    command.arg("--version").env_remove("LD_LIBRARY_PATH");
    let text = text_of(command).with_context(|| format!("bpf-linker {} does not run", linker.display()))?;
    let expected = format!("bpf-linker {BPF_LINKER}");
    if text.trim() != expected {
        bail!("{} answers `{}` to --version, expected `{expected}`", linker.display(), text.trim());
    }
    Ok(linker)
}

/// True if cargo's record of installed programs names our version with the feature of this LLVM.
fn record_says(record: &str, llvm_major: u32) -> bool {
    let record: serde_json::Value = serde_json::from_str(record).unwrap_or_default();
    let feature = format!("llvm-{llvm_major}");
    let installed = record["installs"].as_object();
    installed.into_iter().flatten().any(|(package, details)| {
        package.split(' ').take(2).eq(["bpf-linker", BPF_LINKER])
            && details["features"].as_array().is_some_and(|all| all.iter().any(|one| *one == feature.as_str()))
    })
}

/// Builds it with the ordinary compiler. Without llvm-config and LLVM's headers: a link named `libLLVM.so` is enough.
pub(crate) fn install(project: &Project, compiler: &Compiler) -> Result<()> {
    let major = compiler.version.llvm_major;
    let library = llvm_library(compiler)?;
    let prefix = project.tools().join("llvm");
    link_library(&prefix, &library)?;
    let build = project.tools().join("build");
    let mut cargo = project.cargo();
    cargo.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--force", "--no-default-features"]);
    cargo.arg("--features").arg(format!("llvm-{major}")).arg("--root").arg(project.tools());
    cargo.env("LLVM_PREFIX", &prefix).env("CARGO_TARGET_DIR", &build).env_remove("CARGO_ENCODED_RUSTFLAGS");
    match run_path(compiler, &library) {
        Some(folder) => cargo.env("RUSTFLAGS", format!("-Clink-arg=-Wl,-rpath,{}", folder.display())),
        None => cargo.env_remove("RUSTFLAGS"),
    };
    Step::new(format!("bpf-linker {BPF_LINKER} for LLVM {major}"), cargo, LIMIT).compiling().run(project)?;
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))
}

/// rustup's LLVM lies where the dynamic loader does not look.
fn run_path<'a>(compiler: &Compiler, library: &'a Path) -> Option<&'a Path> {
    (compiler.sysroot != Path::new("/usr") && library.starts_with(&compiler.sysroot))
        .then(|| library.parent())
        .flatten()
}

fn link_library(prefix: &Path, library: &Path) -> Result<()> {
    let folder = prefix.join("lib");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let link = folder.join("libLLVM.so");
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link).with_context(|| format!("cannot replace {}", link.display()))?;
    }
    symlink(library, &link).with_context(|| format!("cannot link {} to {}", link.display(), library.display()))
}

fn llvm_library(compiler: &Compiler) -> Result<PathBuf> {
    let major = compiler.version.llvm_major;
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let versioned = format!("/usr/lib/llvm-{major}/lib");
    let sysroot = compiler.sysroot.join("lib");
    let folders = [
        sysroot.as_path(),
        Path::new(&multiarch),
        Path::new(&versioned),
        Path::new("/usr/lib64"),
        Path::new("/usr/lib"),
    ];
    folders.iter().find_map(|folder| library_in(folder, major)).with_context(|| {
        let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!("no libLLVM.so.{major}* in {}: the compiler's own LLVM is needed to link bpf-linker", looked.join(", "))
    })
}

/// The library itself (`libLLVM.so.22.1`) rather than a name for it, which may be a script for the linker.
fn library_in(folder: &Path, major: u32) -> Option<PathBuf> {
    let names = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter(|name| is_llvm(name, major));
    names.min_by_key(|name| (!name.starts_with("libLLVM.so."), name.clone())).map(|name| folder.join(name))
}

/// `libLLVM.so.22.1`, `libLLVM.so.22.1-rust-1.97.0-nightly`, `libLLVM-22.so`; not another major.
fn is_llvm(name: &str, major: u32) -> bool {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    let after_so = name.strip_prefix("libLLVM.so.").and_then(number);
    let before_so = name.strip_prefix("libLLVM-").filter(|rest| rest.contains(".so")).and_then(number);
    after_so.or(before_so) == Some(major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_another_major_is_not_taken() {
        for name in ["libLLVM.so.22.1", "libLLVM.so.22.1-rust-1.97.0-nightly", "libLLVM-22.so", "libLLVM.so.22"] {
            assert!(is_llvm(name, 22), "{name}");
        }
        for name in
            ["libLLVM.so.21.1", "libLLVM.so.221", "libLLVM-14.so", "libLLVM.so", "libLLVMCore.a", "libLLVM-22.a"]
        {
            assert!(!is_llvm(name, 22), "{name}");
        }
    }

    #[test]
    fn the_library_itself_goes_before_other_names_for_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libLLVM-22-rust-1.97.0-nightly.so", "libLLVM.so.22.1-rust-1.97.0-nightly", "libLLVM.so.21.1"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = library_in(folder.path(), 22).unwrap();
        assert!(found.ends_with("libLLVM.so.22.1-rust-1.97.0-nightly"), "{found:?}");
        assert_eq!(library_in(folder.path(), 23), None);
    }

    #[test]
    fn an_installed_linker_counts_only_with_version_and_llvm() {
        let record = |package: &str, feature: &str| {
            format!(r#"{{"installs":{{"{package} (registry)":{{"bins":["bpf-linker"],"features":["{feature}"]}}}}}}"#)
        };
        let ours = format!("bpf-linker {BPF_LINKER}");
        assert!(record_says(&record(&ours, "llvm-22"), 22));
        assert!(!record_says(&record(&ours, "llvm-21"), 22));
        assert!(!record_says(&record("bpf-linker 0.0.1", "llvm-22"), 22));
        assert!(!record_says("", 22) && !record_says("[1]", 22));
    }

    #[test]
    fn the_link_is_replaced_when_the_library_changes() {
        let folder = tempfile::tempdir().unwrap();
        link_library(folder.path(), Path::new("/nowhere/one")).unwrap();
        link_library(folder.path(), Path::new("/nowhere/two")).unwrap();
        assert_eq!(fs::read_link(folder.path().join("lib/libLLVM.so")).unwrap(), Path::new("/nowhere/two"));
    }
}
