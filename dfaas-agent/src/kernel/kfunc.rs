//! Calls of kernel functions: aya 0.14 does not know them, so the programs carry calls with a magic number, which is
//! replaced here by the function's id in the running kernel, before aya sees the image.

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, SectionKind};

use super::btf::KernelBtf;

/// Magic numbers of `dfaas-ebpf/src/kfunc.rs`.
const KFUNCS: [(u32, &str); 1] = [(0x4b46_0001, PLACE)];
/// Makes a socket from a data packet (Linux 6.9).
pub(crate) const PLACE: &str = "bpf_sk_assign_tcp_reqsk";

/// `call` (0x85) with source register 2, `BPF_PSEUDO_KFUNC_CALL`.
const CALL: [u8; 4] = [0x85, 0x20, 0, 0];
/// Opcode of a load of 64 bits, the one instruction of two slots.
const LOAD_64: u8 = 0x18;

/// Fills in the ids of all functions this kernel has; returns the number of calls. A call that stays unfilled makes its
/// program fail to load.
pub(crate) fn fill_in(image: &mut [u8], btf: &KernelBtf) -> Result<usize> {
    let mut calls = Vec::new();
    let file = object::File::parse(&*image).context("the kernel programs are no ELF file")?;
    for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
        let Some((start, len)) = section.file_range() else { continue };
        let code = image.get(start as usize..(start + len) as usize).context("section outside the file")?;
        let mut at = 0;
        while at + 8 <= code.len() {
            if code[at..at + 4] == CALL {
                let magic = u32::from_le_bytes(code[at + 4..at + 8].try_into()?);
                if let Some((_, name)) = KFUNCS.iter().find(|k| k.0 == magic)
                    && let Some(id) = btf.function(name)
                {
                    calls.push((start as usize + at + 4, id));
                }
            }
            at += if code[at] == LOAD_64 { 16 } else { 8 };
        }
    }
    for (at, id) in &calls {
        image[*at..at + 4].copy_from_slice(&id.to_le_bytes());
    }
    Ok(calls.len())
}
