//! How large the programs are: instructions, what the verifier walks, and the stack; and the file that says how large they
//! are meant to be, so that growth is a decision.

mod code;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::{
    load::{self, KernelSettings},
    mode::Mode,
    pins::Pins,
};
use dfaas_common::settings::HintWay;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::code::Code;
use super::findings::Findings;

/// What the kernel allows the stack frames of a chain of calls, together.
pub const STACK_MAX_BYTES: u64 = 512;
/// Growth that may be the compiler's, in percent.
const TOLERANCE_PERCENT: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// In the image, with all functions that the program calls.
    pub instructions: u64,
    /// Walked by the verifier over all paths; other kernels walk other ones.
    pub verified: u64,
    /// Of the deepest chain of calls.
    pub stack_bytes: u64,
}

/// Sizes of all programs, and the kernel whose verifier has told them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Major and minor version.
    pub kernel: String,
    pub programs: BTreeMap<String, Size>,
}

impl Sizes {
    /// Loads every program of the image, without attaching it to anything.
    pub fn measure(image: &[u8]) -> Result<Self> {
        let pins = Pins::new(format!("/sys/fs/bpf/dfaas-sizes-{}", std::process::id()));
        let sizes = sizes(image, &pins);
        pins.remove_all()?;
        let release =
            std::fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot tell the kernel's version")?;
        let kernel = release.trim().split('.').take(2).collect::<Vec<_>>().join(".");
        Ok(Self { kernel, programs: sizes? })
    }

    pub fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("these are no sizes of programs")
    }

    /// What is larger here than it is meant to be, or is not known there; one line each.
    pub fn grown(&self, expected: &Self) -> Vec<String> {
        let mut grown = Vec::new();
        for (name, size) in &self.programs {
            let Some(meant) = expected.programs.get(name) else {
                grown.push(format!("{name} is not among the expected programs"));
                continue;
            };
            let mut compare = |what: &str, now: u64, meant: u64| {
                if now > most(meant) {
                    grown.push(format!("{name} has {now} {what}, expected at most {meant} + {TOLERANCE_PERCENT} %"));
                }
            };
            compare("instructions", size.instructions, meant.instructions);
            compare("bytes of stack", size.stack_bytes, meant.stack_bytes);
            if self.kernel == expected.kernel {
                compare("instructions to verify", size.verified, meant.verified);
            }
        }
        let gone = expected.programs.keys().filter(|name| !self.programs.contains_key(*name));
        grown.extend(gone.map(|name| format!("{name} is expected, and is not there")));
        grown
    }
}

fn most(meant: u64) -> u64 {
    meant + meant * TOLERANCE_PERCENT / 100
}

fn sizes(image: &[u8], pins: &Pins) -> Result<BTreeMap<String, Size>> {
    let code = Code::read(image)?;
    let settings = KernelSettings {
        interface: "lo".into(),
        service: "10.0.0.1:80".parse()?,
        tunnel: "10.0.0.1".parse()?,
        placed: "127.0.0.1:10080".parse()?,
        handoff: "127.0.0.1:10081".parse()?,
        aliases: ("169.254.64.0".parse()?, 18),
        hint_way: HintWay::Auto,
        pins: pins.clone(),
    };
    let mut ebpf = load::load(image, &settings, Mode::Handoff)?;
    for name in ["dfaas_observe", "dfaas_pass"] {
        load::load_program(&mut ebpf, name)?;
    }
    let mut sizes = BTreeMap::new();
    for (name, program) in ebpf.programs() {
        let info = program.info().with_context(|| format!("cannot look at {name}"))?;
        let verified =
            info.verified_instruction_count().context("the kernel does not tell what it verified (Linux 5.16)")?;
        let (instructions, stack_bytes) = (code.instructions(name)?, code.stack_bytes(name)?);
        sizes.insert(name.to_owned(), Size { instructions, verified: verified.into(), stack_bytes });
    }
    ensure!(!sizes.is_empty(), "the image has no programs");
    Ok(sizes)
}

pub(super) fn show(findings: &mut Findings, image: &[u8]) -> Result<()> {
    let sizes = Sizes::measure(image)?;
    let mut rows = Vec::new();
    for (name, size) in &sizes.programs {
        rows.push(vec![
            name.clone(),
            size.instructions.to_string(),
            size.verified.to_string(),
            format!("{} of {STACK_MAX_BYTES}", size.stack_bytes),
        ]);
        findings.line(json!({ "kind": "program", "program": name, "kernel": sizes.kernel, "size": size }));
    }
    findings.table(&["program", "instructions", "walked by the verifier", "stack, bytes"], rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(kernel: &str, name: &str, instructions: u64, verified: u64, stack_bytes: u64) -> Sizes {
        let programs = [(name.to_owned(), Size { instructions, verified, stack_bytes })].into();
        Sizes { kernel: kernel.to_owned(), programs }
    }

    #[test]
    fn growth_beyond_the_tolerance_is_told() {
        let meant = sizes("6.18", "a", 1000, 2000, 400);
        assert!(sizes("6.18", "a", 1050, 2100, 420).grown(&meant).is_empty());
        assert!(sizes("6.18", "a", 1, 1, 1).grown(&meant).is_empty());
        assert_eq!(sizes("6.18", "a", 1051, 2101, 421).grown(&meant).len(), 3);
    }

    #[test]
    fn what_another_kernels_verifier_walks_is_not_compared() {
        let meant = sizes("6.18", "a", 1000, 2000, 400);
        assert!(sizes("6.12", "a", 1000, 9000, 400).grown(&meant).is_empty());
    }

    #[test]
    fn programs_that_come_or_go_are_told() {
        let meant = sizes("6.18", "a", 1000, 2000, 400);
        assert_eq!(sizes("6.18", "b", 1, 1, 1).grown(&meant).len(), 2);
    }
}
