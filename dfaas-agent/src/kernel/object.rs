//! The kernel programs as an ELF image.

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

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
    show_names(&mut image).context("cannot read the programs' BTF")?;
    kfunc::fill_in(&mut image, btf).context("cannot fit the programs to this kernel")?;
    Ok(image)
}

/// Rust has no type that BTF calls `char`, and `bpftool` shows only arrays of those as text: `i8`, which the maps use for
/// names alone, is declared one.
fn show_names(image: &mut [u8]) -> Result<()> {
    let file = object::File::parse(&*image).context("no ELF file")?;
    let section = file.section_by_name(".BTF").and_then(|section| section.file_range());
    let Some((start, len)) = section else { return Ok(()) };
    let (start, end) = (start as usize, (start + len) as usize);
    let btf = KernelBtf::parse(image.get(start..end).context("section outside the file")?.to_vec())?;
    if let Some((at, word)) = btf.as_characters("i8") {
        image[start + at..start + at + 4].copy_from_slice(&word);
    }
    Ok(())
}
