//! Settings: by the user, but of any program that writes files.

use dfaas_base::Reader;

use super::{file, keys::KEYS};

pub(crate) const READERS: &[Reader] = &[("settings-file", settings_file), ("setting", setting)];

/// What was read can be written, and read again.
fn settings_file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(read) = file::parse(text) else { return };
    for (name, value) in read.iter().filter(|(_, value)| !value.contains(['\n', '\r'])) {
        let line = format!("{name}={}\n", file::quoted(value));
        let again = file::parse(&line).ok().and_then(|mut again| again.remove(name));
        assert_eq!(again.as_ref(), Some(value), "{line:?}");
    }
}

/// The text of the setting whose number is the first byte.
fn setting(bytes: &[u8]) {
    let Some((number, text)) = bytes.split_first() else { return };
    let key = &KEYS[usize::from(*number) % KEYS.len()];
    if let Ok(text) = str::from_utf8(text) {
        let _ = (key.check)(text);
    }
}
