//! Builds the kernel programs: finds their compiler and linker, leaves the object at `target/bpf/dfaas-ebpf.o`.

pub(crate) mod compiler;
pub(crate) mod linker;
mod rustc_version;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    project::{Project, cargo_home, find_program},
    step::Step,
};
use compiler::{Compiler, Origin};

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "kernel";
const LIMIT: Duration = Duration::from_mins(20);

/// Compiles, links and strips; `log` turns on the per-packet messages of debugging builds.
pub(crate) fn build(project: &Project, log: bool) -> Result<()> {
    let compiler = compiler::find()?;
    let linker = fit_linker(project, &compiler)?;
    println!("    {compiler}; linker {}", linker.display());
    let mut cargo = cargo(project, &compiler, "build");
    cargo.args(["--profile", PROFILE]);
    if log {
        cargo.args(["--features", "log"]);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(project, &linker)?.join("\u{1f}"));
    Step::new("kernel programs", cargo, LIMIT).compiling().run(project)?;
    strip(project, &compiler)
}

/// Lints the kernel programs; says whether clippy or only the compiler did it. Only the programs themselves get
/// `-D warnings`: with the flags of the build, everything below them is compiled once for both.
pub(crate) fn lint(project: &Project) -> Result<()> {
    let compiler = compiler::find()?;
    let linker = fit_linker(project, &compiler)?;
    let clippy = compiler.sibling("clippy-driver").is_some() && compiler.sibling("cargo-clippy").is_some();
    let (verb, name) = if clippy { ("clippy", "kernel clippy") } else { ("rustc", "kernel build with -D warnings") };
    if !clippy {
        println!("    no clippy-driver beside {}: compiling with -D warnings instead", compiler.rustc.display());
    }
    let mut cargo = cargo(project, &compiler, verb);
    cargo.args(["--profile", PROFILE, "--", "-D", "warnings"]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(project, &linker)?.join("\u{1f}"));
    Step::new(name, cargo, LIMIT).run(project).map(drop)
}

fn fit_linker(project: &Project, compiler: &Compiler) -> Result<PathBuf> {
    let linker = linker::find(project, compiler.version.llvm_major);
    linker.context("no fit bpf-linker (`cargo xtask setup` builds it)")
}

/// The flags every kernel object is built with. The remapped prefixes make equal sources give equal bytes anywhere.
fn flags(project: &Project, linker: &Path) -> Result<Vec<String>> {
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{}\"", host_arch()?),
        "-Cdebuginfo=2".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".to_owned(),
        // The default turns every zeroed array into a byte loop, at thousands of verified instructions.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        format!("--remap-path-prefix={}=/dfaas", project.root.display()),
    ];
    if let Some(home) = cargo_home() {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    Ok(flags)
}

/// The kernel's name for this machine's registers, as aya's bindings want it.
fn host_arch() -> Result<&'static str> {
    match env::consts::ARCH {
        known @ ("x86_64" | "aarch64" | "arm" | "riscv64" | "s390x" | "powerpc64") => Ok(known),
        other => bail!(
            "no kernel bindings for architecture `{other}`, expected x86_64, aarch64, arm, riscv64, s390x or powerpc64"
        ),
    }
}

fn cargo(project: &Project, compiler: &Compiler, verb: &str) -> Command {
    // A nightly brings its own cargo; a distribution's may be years older than its compiler.
    let own = matches!(compiler.origin, Origin::Nightly(_)).then(|| compiler.sibling("cargo")).flatten();
    let mut cargo = own.map_or_else(|| project.cargo(), Command::new);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(interferes) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(&project.root);
    cargo.env("RUSTC", &compiler.rustc).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_DIR", project.target().join("kernel"));
    cargo.args([verb, "--package", "dfaas-ebpf", "--target", TARGET, "-Zbuild-std=core"]);
    cargo
}

/// Variables meant for the host's compiler. What says where cargo lives and downloads from stays.
fn interferes(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    let cargo = (name == "CARGO" || name.starts_with("CARGO_")) && !KEPT.iter().any(|kept| name.starts_with(kept));
    cargo || name.starts_with("RUSTC") || name == "RUSTFLAGS" || name == "RUSTUP_TOOLCHAIN" || name == "LD_LIBRARY_PATH"
}

/// Drops DWARF (ten times the size of the rest) and keeps BTF. An unchanged object keeps its file and its time.
fn strip(project: &Project, compiler: &Compiler) -> Result<()> {
    let objcopy = find_objcopy(compiler).context("no llvm-objcopy found: `cargo xtask setup` installs it")?;
    let built = project.target().join("kernel").join(TARGET).join(PROFILE).join("dfaas-ebpf");
    let object = project.kernel_object();
    let fresh = object.with_extension("o.new");
    let folder = object.parent().context("the kernel object has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut command = Command::new(objcopy);
    command.arg("--strip-debug").arg(built).arg(&fresh);
    Step::new("strip the kernel object", command, Duration::from_mins(1)).run(project)?;
    let bytes = fs::read(&fresh).with_context(|| format!("cannot read {}", fresh.display()))?;
    if fs::read(&object).is_ok_and(|old| old == bytes) {
        fs::remove_file(&fresh)?;
    } else {
        fs::rename(&fresh, &object).with_context(|| format!("cannot write {}", object.display()))?;
    }
    println!("    {}: {} bytes", project.relative(&object).display(), bytes.len());
    Ok(())
}

/// GNU objcopy refuses BPF objects, so only LLVM's will do; its version does not matter.
pub(crate) fn find_objcopy(compiler: &Compiler) -> Option<PathBuf> {
    let numbered: Vec<String> = (14..=30).rev().map(|major| format!("llvm-objcopy-{major}")).collect();
    let names: Vec<&str> = std::iter::once("llvm-objcopy").chain(numbered.iter().map(String::as_str)).collect();
    find_program(&names).or_else(|| {
        let bundled = compiler.sysroot.join("lib/rustlib").join(&compiler.version.host).join("bin/llvm-objcopy");
        bundled.is_file().then_some(bundled)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_for_the_host_compiler_are_removed_and_download_settings_stay() {
        for name in ["CARGO", "CARGO_PKG_NAME", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_INCREMENTAL"] {
            assert!(interferes(name), "{name}");
        }
        for name in ["RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            assert!(interferes(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_REGISTRIES_X_INDEX", "PATH", "RUSTUP_HOME", "CARGOX"] {
            assert!(!interferes(name), "{name}");
        }
    }

    #[test]
    fn the_flags_hide_the_folder_of_the_checkout() {
        let project = Project::at("/some/where");
        let flags = flags(&project, Path::new("/l/bpf-linker")).unwrap();
        assert!(flags.contains(&"--remap-path-prefix=/some/where=/dfaas".to_owned()));
        assert!(flags.contains(&"-Clinker=/l/bpf-linker".to_owned()));
    }
}
