//! Files of the load player, its own and vegeta's.

use bytes::Bytes;
use dfaas_base::Reader;
use dfaas_load::vegeta::{read_result, read_targets, write_result};

pub(crate) const TARGETS: &[Reader] = &[("vegeta-targets", targets), ("vegeta-result", result)];

fn targets(bytes: &[u8]) {
    let _ = read_targets(bytes, "fuzzed", &[], &Bytes::new());
}

/// A result can be written, and is read as the same again.
fn result(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(record) = read_result(text) else { return };
    let mut line = Vec::new();
    write_result(&mut line, &record).unwrap_or_else(|error| panic!("{record:?}: {error:#}"));
    let again = read_result(str::from_utf8(&line).unwrap_or_default());
    assert_eq!(again.map(|again| format!("{again:?}")), Ok(format!("{record:?}")));
}
