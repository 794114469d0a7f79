//! The programs as instructions: what calls what, and the stack of each function, as the kernel's verifier counts it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};

const SLOT: u64 = 8;
/// A register that points to the frame; stores below it are the stack.
const FRAME: u8 = 10;
/// The verifier rounds every frame to it.
const FRAME_UNIT: u64 = 16;
/// The kernel lets no more functions call each other.
const MAX_CALLS: usize = 8;

/// Where a function begins: section and address.
type Place = (usize, u64);

#[derive(Debug, Default, PartialEq)]
struct Function {
    instructions: u64,
    frame_bytes: u64,
    calls: Vec<Place>,
}

pub(super) struct Code {
    programs: BTreeMap<String, Place>,
    functions: BTreeMap<Place, Function>,
}

impl Code {
    pub(super) fn read(image: &[u8]) -> Result<Self> {
        let file = object::File::parse(image).context("the kernel programs are no ELF file")?;
        let (mut programs, mut functions) = (BTreeMap::new(), BTreeMap::new());
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
            let index = symbol.section_index().context("a function outside of all sections")?;
            let section = file.section_by_index(index)?;
            let (start, end) = (symbol.address() as usize, (symbol.address() + symbol.size()) as usize);
            let code = section.data()?.get(start..end).context("a function beyond its section")?;
            // Calls into other sections, and those that the compiler left to the loader.
            let mut moved = BTreeMap::new();
            for (at, relocation) in section.relocations() {
                let RelocationTarget::Symbol(target) = relocation.target() else { continue };
                let target = file.symbol_by_index(target)?;
                if let Some(section) = target.section_index() {
                    moved.insert(at, (section.0, target.address()));
                }
            }
            let place = (index.0, symbol.address());
            functions.insert(place, function(code, place, &moved));
            programs.insert(symbol.name()?.to_owned(), place);
        }
        Ok(Self { programs, functions })
    }

    fn place(&self, program: &str) -> Result<Place> {
        self.programs.get(program).copied().with_context(|| format!("no function {program} in the image"))
    }

    /// Of a program and all that it calls, each once.
    pub(super) fn instructions(&self, program: &str) -> Result<u64> {
        let (mut seen, mut left) = (Vec::new(), vec![self.place(program)?]);
        while let Some(place) = left.pop() {
            if !seen.contains(&place) {
                seen.push(place);
                left.extend(self.function(place)?.calls.iter().copied());
            }
        }
        seen.into_iter().map(|place| Ok(self.function(place)?.instructions)).sum()
    }

    /// Of the deepest chain of calls.
    pub(super) fn stack_bytes(&self, program: &str) -> Result<u64> {
        self.depth(self.place(program)?, MAX_CALLS)
    }

    fn depth(&self, place: Place, calls_left: usize) -> Result<u64> {
        ensure!(calls_left > 0, "more than {MAX_CALLS} functions call each other");
        let function = self.function(place)?;
        let below: Result<Vec<u64>> = function.calls.iter().map(|call| self.depth(*call, calls_left - 1)).collect();
        let own = function.frame_bytes.max(1).next_multiple_of(FRAME_UNIT);
        Ok(own + below?.into_iter().max().unwrap_or(0))
    }

    fn function(&self, place: Place) -> Result<&Function> {
        self.functions.get(&place).with_context(|| format!("no function at {:#x} of section {}", place.1, place.0))
    }
}

/// Reads instructions of eight bytes: opcode, registers (target low, source high), offset, immediate value.
fn function(code: &[u8], place: Place, moved: &BTreeMap<u64, Place>) -> Function {
    let mut found = Function { instructions: code.len() as u64 / SLOT, ..Function::default() };
    // Registers that hold an address in the frame.
    let mut aliases: BTreeMap<u8, i64> = [(FRAME, 0)].into();
    for (n, slot) in (0u64..).zip(code.chunks_exact(SLOT as usize)) {
        let (target, source) = (slot[1] & 15, slot[1] >> 4);
        let offset = i64::from(i16::from_le_bytes([slot[2], slot[3]]));
        let value = i32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]]);
        let at = place.1 + n * SLOT;
        match (slot[0], slot[0] & 7) {
            // Call of a function of the image.
            (0x85, _) if source == 1 => {
                let behind = (i64::from(value) + 1) * SLOT as i64;
                let (section, from) = moved.get(&at).copied().unwrap_or((place.0, at));
                found.calls.push((section, from.wrapping_add_signed(behind)));
            }
            // A copy of a register, then a constant added to it.
            (0xbf, _) => match aliases.get(&source).copied() {
                Some(known) => drop(aliases.insert(target, known)),
                None => drop(aliases.remove(&target)),
            },
            (0x07, _) => {
                if let Some(known) = aliases.get_mut(&target) {
                    *known += i64::from(value);
                    found.reach(*known);
                }
            }
            // Load, and the two kinds of store.
            (_, 1) => {
                found.reach_at(aliases.get(&source), offset);
                aliases.remove(&target);
            }
            (_, 2 | 3) => found.reach_at(aliases.get(&target), offset),
            // Other arithmetic leaves no address behind that is known.
            (_, 0 | 4 | 7) => drop(aliases.remove(&target)),
            _ => {}
        }
    }
    found
}

impl Function {
    fn reach(&mut self, offset: i64) {
        self.frame_bytes = self.frame_bytes.max(offset.min(0).unsigned_abs());
    }

    fn reach_at(&mut self, base: Option<&i64>, offset: i64) {
        if let Some(base) = base {
            self.reach(base + offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(opcode: u8, target: u8, source: u8, offset: i16, value: i32) -> Vec<u8> {
        let mut slot = vec![opcode, target | source << 4];
        slot.extend(offset.to_le_bytes());
        slot.extend(value.to_le_bytes());
        slot
    }

    #[test]
    fn the_frame_reaches_as_far_as_stores_and_addresses_do() {
        let store = slot(0x7b, FRAME, 1, -24, 0);
        let address = [slot(0xbf, 2, FRAME, 0, 0), slot(0x07, 2, 0, 0, -40)].concat();
        let beside = slot(0x7b, 2, 1, -8, 0);
        let frame = |code: &[Vec<u8>]| function(&code.concat(), (1, 0), &BTreeMap::new()).frame_bytes;
        assert_eq!(frame(std::slice::from_ref(&store)), 24);
        assert_eq!(frame(&[store, address.clone()]), 40);
        assert_eq!(frame(&[address.clone(), beside.clone()]), 48);
        // The register is another's by then.
        assert_eq!(frame(&[address, slot(0xb7, 2, 0, 0, 5), slot(0x07, 2, 0, 0, -400), beside]), 40);
        assert_eq!(frame(&[slot(0x95, 0, 0, 0, 0)]), 0);
    }

    #[test]
    fn calls_are_found_with_and_without_a_relocation() {
        let code = [slot(0x85, 0, 0, 0, 7), slot(0x85, 0, 1, 0, 3), slot(0x85, 0, 1, 0, 3)].concat();
        // The third is moved to 32 bytes behind the begin of section 9.
        let found = function(&code, (1, 0x100), &[(0x110, (9, 0))].into());
        assert_eq!(found.calls, [(1, 0x108 + 32), (9, 32)]);
        assert_eq!(found.instructions, 3);
    }

    #[test]
    fn the_deepest_chain_counts_with_rounded_frames() {
        let leaf = Function { instructions: 5, frame_bytes: 1, calls: vec![] };
        let deep = Function { instructions: 7, frame_bytes: 100, calls: vec![(1, 0)] };
        let top = Function { instructions: 2, frame_bytes: 0, calls: vec![(1, 0), (1, 8)] };
        let code = Code {
            programs: [("top".to_owned(), (1, 16))].into(),
            functions: [((1, 0), leaf), ((1, 8), deep), ((1, 16), top)].into(),
        };
        assert_eq!(code.stack_bytes("top").unwrap(), 16 + 112 + 16);
        assert_eq!(code.instructions("top").unwrap(), 14);
        assert!(code.stack_bytes("other").is_err());
    }
}
