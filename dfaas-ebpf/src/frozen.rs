//! Settings that the loader writes before the programs are verified.

use dfaas_common::settings::Settings;

/// In `.rodata` by force: the map is frozen at load, so the verifier knows the values. (Left to itself, the compiler may
/// merge a zeroed static with a literal of the same bytes.)
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata")]
pub(crate) static SETTINGS: Settings = Settings::ZERO;

/// One setting, as the loader left it.
#[macro_export]
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: a static integer; volatile, because the loader changes it behind the compiler's back.
        unsafe { (&raw const $crate::frozen::SETTINGS.$field).read_volatile() }
    };
}
