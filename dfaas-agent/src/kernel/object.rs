//! The kernel programs as an ELF image.

use anyhow::{Context as _, Result, bail};

use super::{btf::KernelBtf, kfunc};

// Aligned: the ELF parser reads words in place.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);
static EMBEDDED: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/dfaas-ebpf.o")));

/// The image built with this agent.
pub fn embedded() -> Result<&'static [u8]> {
    if EMBEDDED.0.is_empty() {
        bail!("this agent was built without the kernel programs: run `cargo xtask build`");
    }
    Ok(&EMBEDDED.0)
}

/// A copy fitted to the running kernel.
pub fn fitted(image: &[u8], btf: &KernelBtf) -> Result<Vec<u8>> {
    let mut image = image.to_vec();
    kfunc::fill_in(&mut image, btf).context("cannot fit the programs to this kernel")?;
    Ok(image)
}
