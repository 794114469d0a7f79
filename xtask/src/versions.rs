//! Every version the project pins outside `Cargo.toml`; nothing else names one.

/// The linker of the kernel programs.
pub(crate) const BPF_LINKER: &str = "0.13.0";

/// LLVM majors that this bpf-linker has a feature `llvm-NN` for.
pub(crate) const BPF_LINKER_LLVM_MAJORS: [u32; 3] = [21, 22, 23];

/// The least kernel-side compiler: the crates it builds ask for it.
pub(crate) const KERNEL_RUSTC_LEAST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Taken from rustup where the distribution has no fit compiler.
pub(crate) const KERNEL_NIGHTLY: &str = "nightly-2026-05-20";

/// The distribution's compiler and its library sources (Debian's name; the security suite keeps it recent).
pub(crate) const DEBIAN_RUSTC: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Debian 12 has 2.6; older ones lack directives that the rendered configuration uses.
pub(crate) const HAPROXY_LEAST: &str = "2.6";

/// What the foreign peer of the suite `tests/interop` runs on.
pub(crate) const NODE_LEAST: &str = "20.0";
