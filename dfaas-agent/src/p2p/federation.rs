//! The secret that the nodes of a federation share, and who has shown to know it.
//!
//! A node shows it to each peer by a code over both their ids, with its state: the connection is authenticated, so a code is
//! worth nothing to whoever else gets hold of it.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use crate::name::NodeId;

/// Whoever is sent a code may try to guess what it was made with.
const LEAST_BYTES: usize = 16;
const PURPOSE: &[u8] = b"dfaas federation member 1";
/// Nodes that are remembered to know it.
const MOST_PROVEN: usize = 4096;

/// Shown to nobody.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

/// A secret of fewer than [`LEAST_BYTES`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort(usize);

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a secret of {} bytes, expected at least {LEAST_BYTES}, as of `head -c 32 /dev/urandom | base64`",
            self.0
        )
    }
}

impl std::error::Error for TooShort {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Blanks and line ends around it are not part of it.
    pub fn new(text: &str) -> Result<Self, TooShort> {
        let text = text.trim();
        if text.len() < LEAST_BYTES { Err(TooShort(text.len())) } else { Ok(Self(text.as_bytes().into())) }
    }

    fn code(&self, from: &NodeId, to: &NodeId) -> Hmac<Sha256> {
        // Keys of any length are taken: there is no error.
        let mut code = Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("any length will do"));
        // Ids hold no zero byte.
        for part in [PURPOSE, from.as_str().as_bytes(), to.as_str().as_bytes()] {
            code.update(part);
            code.update(&[0]);
        }
        code
    }

    fn proof(&self, from: &NodeId, to: &NodeId) -> String {
        use fmt::Write as _;
        let bytes = self.code(from, to).finalize().into_bytes();
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn accepts(&self, proof: &str, from: &NodeId, to: &NodeId) -> bool {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = proof.as_bytes().chunks(2).map(digits).collect();
        bytes.is_some_and(|bytes| self.code(from, to).verify_slice(&bytes).is_ok())
    }
}

/// Who may take part besides those that are listed.
#[derive(Debug)]
pub(super) struct Federation {
    own: NodeId,
    secret: Option<Secret>,
    proven: Mutex<BTreeSet<NodeId>>,
}

impl Federation {
    /// Without a secret: everybody, or those that are listed.
    pub(super) fn new(own: NodeId, secret: Option<Secret>) -> Self {
        Self { own, secret, proven: Mutex::default() }
    }

    pub(super) fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    pub(super) fn has_proven(&self, node: &NodeId) -> bool {
        self.proven().contains(node)
    }

    /// Adds to a state what shows its receiver that this node knows the secret.
    pub(super) fn sign(&self, state: &mut Vec<u8>, to: &NodeId) {
        if let Some(secret) = &self.secret
            && state.pop_if(|last| *last == b'}').is_some()
        {
            state.extend_from_slice(format!(r#","proof":"{}"}}"#, secret.proof(&self.own, to)).as_bytes());
        }
    }

    /// True if the state of a peer shows that it knows the secret, which is remembered.
    pub(super) fn verify(&self, state: &[u8], from: &NodeId) -> bool {
        let Some(secret) = &self.secret else { return false };
        let proof = serde_json::from_slice::<Signed>(state).ok().and_then(|signed| signed.proof);
        let is_proven = proof.is_some_and(|proof| secret.accepts(&proof, from, &self.own));
        let mut proven = self.proven();
        if is_proven && (proven.len() < MOST_PROVEN || proven.contains(from)) {
            proven.insert(from.clone());
        }
        is_proven
    }

    fn proven(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is read of a state before all else.
#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    proof: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        format!("12D3KooW{n:044}").parse().unwrap()
    }

    fn federation(own: u8, secret: &str) -> Federation {
        Federation::new(node(own), Some(Secret::new(secret).unwrap()))
    }

    #[test]
    fn who_knows_the_secret_is_believed_by_the_one_it_was_said_to() {
        const SECRET: &str = "correct horse battery staple";
        let (first, second, third) = (federation(1, SECRET), federation(2, SECRET), federation(3, SECRET));
        let signed = |by: &Federation, to: u8| {
            let mut state = br#"{"version":1}"#.to_vec();
            by.sign(&mut state, &node(to));
            state
        };
        let state = signed(&first, 2);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&state).unwrap()["version"], 1, "still a state");
        assert!(!second.has_proven(&node(1)));
        assert!(second.verify(&state, &node(1)) && second.has_proven(&node(1)));
        // Played to others, or by others.
        assert!(!third.verify(&state, &node(1)) && !second.verify(&state, &node(3)));
        assert!(!second.verify(&signed(&federation(1, "another secret of somebody"), 2), &node(1)));
        for none in [&b"{}"[..], b"{\"proof\":\"\"}", b"{\"proof\":\"zz\"}", b"{\"proof\":1}", b"", b"["] {
            assert!(!third.verify(none, &node(2)), "{none:?}");
        }
        assert!(!third.has_proven(&node(2)));
    }

    #[test]
    fn without_a_secret_nothing_is_said_and_nobody_proven() {
        let open = Federation::new(node(1), None);
        let mut state = b"{}".to_vec();
        open.sign(&mut state, &node(2));
        assert_eq!(state, b"{}");
        assert!(!open.verify(&state, &node(2)) && !open.has_secret());
    }

    #[test]
    fn a_secret_is_not_short_and_not_shown() {
        assert_eq!(Secret::new(" 15 bytes, no 16\n").unwrap_err(), TooShort(15));
        assert_eq!(format!("{:?}", Secret::new("sixteen bytes it").unwrap()), "Secret");
    }
}
