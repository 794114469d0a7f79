//! A secret one node draws for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Signs what the holder sends through the tunnel to the node that drew it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub struct TunnelKey {
    pub epoch: u16,
    pub key: [u8; 16],
    pub token: u64,
}

impl fmt::Debug for TunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelKey").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Numbers as hex digits: JSON numbers do not hold 64 bits everywhere.
#[derive(Serialize, Deserialize)]
struct Wire {
    epoch: u16,
    key: String,
    token: String,
}

impl From<TunnelKey> for Wire {
    fn from(key: TunnelKey) -> Self {
        Self {
            epoch: key.epoch,
            key: format!("{:032x}", u128::from_be_bytes(key.key)),
            token: format!("{:016x}", key.token),
        }
    }
}

impl TryFrom<Wire> for TunnelKey {
    type Error = &'static str;

    /// The error names no value: it is a secret.
    fn try_from(wire: Wire) -> Result<Self, &'static str> {
        let key = hex(&wire.key, 32).ok_or("invalid tunnel key: expected 32 hex digits")?;
        let token = hex(&wire.token, 16).ok_or("invalid tunnel token: expected 16 hex digits")?;
        Ok(Self { epoch: wire.epoch, key: key.to_be_bytes(), token: token as u64 })
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    // The standard parser alone would take a sign.
    let valid = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u128::from_str_radix(text, 16).ok())?
}
