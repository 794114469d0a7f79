//! Embeds the kernel programs, if they have been built (`cargo xtask build`). Without them the agent builds too, and
//! says at run time what is missing.

use std::{env, fs, path::PathBuf};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let object =
        env::var_os("DFAAS_EBPF_OBJECT").map_or_else(|| manifest.join("../target/bpf/dfaas-ebpf.o"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=DFAAS_EBPF_OBJECT");
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("dfaas-ebpf.o");
    let bytes = fs::read(&object).unwrap_or_default();
    fs::write(&out, bytes).unwrap_or_else(|e| panic!("cannot write {}: {e}", out.display()));
}
