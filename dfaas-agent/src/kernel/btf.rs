//! What the running kernel says of itself, from `/sys/kernel/btf/vmlinux`: function ids and member offsets.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. aya parses BTF too, but keeps members to itself.

use anyhow::{Context as _, Result, bail};

const KIND_INT: u32 = 1;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_FUNC: u32 = 12;
/// Typedef, volatile, const, restrict, type tag: they stand for the type they name.
const MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18];

#[derive(Debug)]
pub struct KernelBtf {
    bytes: Vec<u8>,
    strings_at: usize,
    /// Where each type's record starts; ids count from 1.
    types: Vec<usize>,
}

impl KernelBtf {
    pub fn running() -> Result<Self> {
        let path = "/sys/kernel/btf/vmlinux";
        Self::parse(std::fs::read(path).with_context(|| format!("cannot read {path}"))?)
            .with_context(|| format!("cannot parse {path}"))
    }

    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        if bytes.get(..2) != Some(&[0x9f, 0xeb]) {
            bail!("no little-endian BTF: wrong magic number");
        }
        let header = word(&bytes, 4)? as usize;
        let mut at = header + word(&bytes, 8)? as usize;
        let end = at + word(&bytes, 12)? as usize;
        let strings_at = header + word(&bytes, 16)? as usize;
        let mut types = vec![0];
        while at < end {
            types.push(at);
            let info = word(&bytes, at + 4)?;
            let n = (info & 0xffff) as usize;
            at += 12
                + match info >> 24 & 0x1f {
                    2 | 7..=12 | 16 | 18 => 0,
                    1 | 14 | 17 => 4,
                    3 => 12,
                    4 | 5 | 15 | 19 => 12 * n,
                    6 | 13 => 8 * n,
                    kind => bail!("unknown kind {kind} of type {}", types.len() - 1),
                };
        }
        Ok(Self { bytes, strings_at, types })
    }

    /// Id of a kernel function; `None` if this kernel does not have it.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(KIND_FUNC, name).map(|id| id as u32)
    }

    /// Offset in bytes of a member; `path` goes through nested members, separated by dots.
    pub fn offset(&self, structure: &str, path: &str) -> Result<u32> {
        let mut id = self.find(KIND_STRUCT, structure).with_context(|| format!("no struct {structure}"))?;
        let mut offset = 0;
        for name in path.split('.') {
            let (at, member) = self.member(id, name)?.with_context(|| format!("no member {name} in {structure}"))?;
            offset += at;
            id = member;
        }
        Ok(offset)
    }

    /// Has `bpftool` show arrays of the named integer type as text: says in its BTF that it holds characters. Returns
    /// where in the bytes, and what to write there.
    pub fn as_characters(&self, name: &str) -> Option<(usize, [u8; 4])> {
        let at = self.types[self.find(KIND_INT, name)?] + 12;
        // Bits 24 to 27 are the encoding; BTF_INT_CHAR is 2 there.
        let word = word(&self.bytes, at).ok()? & !(0xf << 24) | 2 << 24;
        Some((at, word.to_le_bytes()))
    }

    fn find(&self, kind: u32, name: &str) -> Option<usize> {
        (1..self.types.len()).find(|id| {
            self.record(*id).is_ok_and(|(k, ..)| k == kind)
                && word(&self.bytes, self.types[*id]).is_ok_and(|at| self.text(at) == name.as_bytes())
        })
    }

    /// Kind, number of members, and size or referenced type.
    fn record(&self, id: usize) -> Result<(u32, usize, u32)> {
        let at = *self.types.get(id).context("type id out of range")?;
        let info = word(&self.bytes, at + 4)?;
        Ok((info >> 24 & 0x1f, (info & 0xffff) as usize, word(&self.bytes, at + 8)?))
    }

    fn text(&self, at: u32) -> &[u8] {
        let rest = self.bytes.get(self.strings_at + at as usize..).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default()
    }

    fn resolve(&self, mut id: usize) -> Result<usize> {
        loop {
            let (kind, _, target) = self.record(id)?;
            if !MODIFIERS.contains(&kind) {
                return Ok(id);
            }
            id = target as usize;
        }
    }

    /// Offset and type of a member, also of one in an unnamed structure or union inside.
    fn member(&self, id: usize, name: &str) -> Result<Option<(u32, usize)>> {
        let (kind, n, _) = self.record(id)?;
        if kind != KIND_STRUCT && kind != KIND_UNION {
            return Ok(None);
        }
        let bitfields = word(&self.bytes, self.types[id] + 4)? >> 31 == 1;
        for i in 0..n {
            let at = self.types[id] + 12 + 12 * i;
            let name_at = word(&self.bytes, at)?;
            let member = self.resolve(word(&self.bytes, at + 4)? as usize)?;
            let bits = word(&self.bytes, at + 8)? & if bitfields { 0xff_ffff } else { u32::MAX };
            if self.text(name_at) == name.as_bytes() {
                return Ok(Some((bits / 8, member)));
            }
            if name_at == 0
                && let Some((inner, found)) = self.member(member, name)?
            {
                return Ok(Some((bits / 8 + inner, found)));
            }
        }
        Ok(None)
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes = bytes.get(at..at + 4).context("shorter than its header says")?;
    Ok(u32::from_le_bytes(bytes.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_is_understood() {
        let btf = KernelBtf::running().unwrap();
        assert!(btf.function("tcp_v4_rcv").is_some());
        assert_eq!(btf.function("no_such_function"), None);
        // Members of a structure whose layout is fixed: struct iphdr.
        assert_eq!(btf.offset("iphdr", "protocol").unwrap(), 9);
        assert_eq!(btf.offset("iphdr", "saddr").unwrap(), 12);
        assert!(btf.offset("iphdr", "nothing").unwrap_err().to_string().contains("no member nothing"));
    }

    #[test]
    fn truncated_bytes_are_an_error() {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        for len in [0, 1, 8, 23, 24, 1000] {
            assert!(KernelBtf::parse(bytes[..len].to_vec()).is_err(), "{len}");
        }
    }
}
