//! One target, named by the variable `DFAAS_FUZZ_TARGET`, under the engine. `cargo xtask fuzz` starts it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("DFAAS_FUZZ_TARGET").expect("DFAAS_FUZZ_TARGET names the target");
    let found = dfaas_fuzz::targets().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("DFAAS_FUZZ_TARGET={wanted}: no such target")).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
