//! The configuration as text: the same settings and decision always give the same text.

mod backend;
mod frontend;
mod global;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

pub(crate) use self::global::server_timeout;
pub use self::values::Values;

use super::settings::ProxySettings;
use crate::{
    decision::Decision,
    name::{FunctionName, NodeId},
};

/// Everything HAProxy loads: one file of configuration and the maps it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub config: String,
    pub values: Values,
    /// Identifies the structure, i.e. all but the values; the running process tells its own in `show info`.
    pub stamp: String,
}

impl Rendered {
    pub(super) fn functions(&self) -> BTreeSet<FunctionName> {
        let limits = self.values.maps.get("local_limit.map");
        limits.into_iter().flat_map(BTreeMap::keys).filter_map(|name| name.parse().ok()).collect()
    }

    /// The map files, as HAProxy reads them.
    pub fn map_files(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.values.maps.iter().map(|(file, entries)| {
            let mut text = String::new();
            for (key, value) in entries {
                let _ = writeln!(text, "{key} {value}");
            }
            (*file, text)
        })
    }
}

pub fn render(settings: &ProxySettings, decision: &Decision) -> Rendered {
    let values = Values::new(settings, decision);
    let without_values = text(settings, decision, &Values { weights: BTreeMap::new(), ..values.clone() }, "");
    let stamp = format!("dfaas-{:016x}", fnv1a(without_values.as_bytes()));
    let config = text(settings, decision, &values, &stamp);
    Rendered { config, values, stamp }
}

fn text(settings: &ProxySettings, decision: &Decision, values: &Values, stamp: &str) -> String {
    let mut text = Text::default();
    global::render(&mut text, settings, decision, stamp);
    frontend::render(&mut text, settings);
    backend::render(&mut text, settings, decision, values);
    text.0
}

/// Peers that can be servers: all but ourselves.
fn peers<'a>(
    settings: &'a ProxySettings,
    decision: &'a Decision,
) -> impl Iterator<Item = (&'a NodeId, &'a crate::decision::PeerEndpoint)> {
    decision.peers.iter().filter(|(id, _)| **id != settings.node)
}

/// FNV-1a: stable over compilers, unlike the standard hasher. An agent of another build recognises its work.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Sections and their lines.
#[derive(Default)]
struct Text(String);

impl Text {
    fn section(&mut self, head: impl AsRef<str>) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(head.as_ref());
        self.0.push('\n');
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str("    ");
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }
}
