//! Embeds the kernel programs, if they have been built (`cargo xtask build`). Without them the agent builds too, and
//! says at run time what is missing.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let object = env::var_os("DFAAS_EBPF_OBJECT").map_or_else(|| built(&out), PathBuf::from);
    println!("cargo::rerun-if-env-changed=DFAAS_EBPF_OBJECT");
    println!("cargo::rerun-if-changed={}", object.display());
    let out = out.join("dfaas-ebpf.o");
    let bytes = fs::read(&object).unwrap_or_default();
    fs::write(&out, bytes).unwrap_or_else(|e| panic!("cannot write {}: {e}", out.display()));
}

/// The object in cargo's target folder. A path below this package's parent is told as cargo keeps it, relative: then a
/// checkout that was moved with its target folder is not compiled anew.
fn built(out: &Path) -> PathBuf {
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let usual = Path::new("../target");
    let is_usual = target.is_none_or(|target| same(target, usual));
    if is_usual { usual } else { target.unwrap_or(usual) }.join("bpf/dfaas-ebpf.o")
}

/// Build scripts run in the package's folder.
fn same(a: &Path, b: &Path) -> bool {
    fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b)
}
