//! The node's Ed25519 key: a PKCS#8 PEM file, kept from its first start on, and the peer id made from it.

use std::{
    fmt, fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::Context;
use ed25519::pkcs8::{
    EncodePrivateKey, KeypairBytes,
    spki::{
        AlgorithmIdentifierRef, ObjectIdentifier,
        der::{
            self, Decode, Reader, SliceReader,
            asn1::OctetStringRef,
            pem::{self, LineEnding},
        },
    },
};
use libp2p::identity::Keypair;
use rand::{TryRngCore, rngs::OsRng};

use super::shown;
use crate::name::NodeId;

const BLOCK_TYPE: &str = "PRIVATE KEY";
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub keypair: Keypair,
    pub node_id: NodeId,
}

impl Identity {
    /// Reads the key file, or makes one (mode 0600) if it is missing or empty.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        if let Some(text) = read(path).with_context(|| format!("cannot read key file {}", path.display()))? {
            let seed = parse(&text).with_context(|| format!("cannot use key file {}", path.display()))?;
            return Self::from_seed(seed);
        }
        let mut seed = [0; 32];
        OsRng.try_fill_bytes(&mut seed).context("cannot draw a key")?;
        write(path, &seed).with_context(|| format!("cannot write key file {}", path.display()))?;
        let identity = Self::from_seed(seed)?;
        tracing::info!(path = %path.display(), node = %identity.node_id, "new key made");
        Ok(identity)
    }

    pub fn from_seed(mut seed: [u8; 32]) -> anyhow::Result<Self> {
        // Overwrites the seed with zeros.
        let keypair = Keypair::ed25519_from_bytes(&mut seed).context("not an Ed25519 key")?;
        let node_id = keypair.public().to_peer_id().to_base58().parse()?;
        Ok(Self { keypair, node_id })
    }
}

/// The text of the file; `None` if it is missing or empty.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read the key file: mode {:o}, expected 600", mode & 0o777);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "longer than {MAX_FILE_BYTES} bytes");
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8(bytes).ok().context("not a text file")?))
}

fn write(path: &Path, seed: &[u8; 32]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A new file in the same folder has mode 0600 from the start; the rename makes it whole or absent.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(to_pem(seed)?.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

pub(super) fn to_pem(seed: &[u8; 32]) -> anyhow::Result<String> {
    // Without the public key the file is the one openssl writes, which the original agents read too.
    let key = KeypairBytes { secret_key: *seed, public_key: None };
    Ok(key.to_pkcs8_pem(LineEnding::LF)?.to_string())
}

/// Why a key file was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    NoBlock,
    WrongBlock(String),
    BadBase64,
    BadDer(String),
    NotEd25519(String),
    SeedLength(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBlock => write!(f, "no PEM block found, expected one of type {BLOCK_TYPE:?}"),
            Self::WrongBlock(found) => write!(f, "PEM block of type \"{found}\", expected {BLOCK_TYPE:?}"),
            Self::BadBase64 => write!(f, "PEM block is not valid base64"),
            Self::BadDer(why) => write!(f, "PEM block is not a PKCS#8 key: {why}"),
            Self::NotEd25519(found) => write!(f, "key algorithm {found}, expected Ed25519 ({ED25519})"),
            Self::SeedLength(found) => write!(f, "Ed25519 seed of {found} bytes, expected 32"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The seed in the first PEM block of a text.
pub(super) fn parse(text: &str) -> Result<[u8; 32], KeyError> {
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::NoBlock)?;
    let (kind, rest) = rest.split_once("-----").ok_or(KeyError::NoBlock)?;
    let (body, _) = rest.split_once(&format!("-----END {kind}-----")).ok_or(KeyError::NoBlock)?;
    if kind != BLOCK_TYPE {
        return Err(KeyError::WrongBlock(shown(kind)));
    }
    // The decoder wants lines of 64 characters; files that were copied around often lost them.
    let base64: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(std::str::from_utf8).collect::<Result<_, _>>().or(Err(KeyError::BadBase64))?;
    let block = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"));
    let (_, der) = pem::decode_vec(block.as_bytes()).or(Err(KeyError::BadBase64))?;
    seed_of(&der)
}

fn seed_of(der: &[u8]) -> Result<[u8; 32], KeyError> {
    let bad = |error: der::Error| KeyError::BadDer(error.to_string());
    let (algorithm, key) = SliceReader::new(der)
        .and_then(|mut reader| {
            reader.sequence(|fields| {
                let _version = u8::decode(fields)?;
                let algorithm = AlgorithmIdentifierRef::decode(fields)?;
                let key = OctetStringRef::decode(fields)?;
                // Attributes and a public key may follow.
                fields.read_slice(fields.remaining_len())?;
                Ok((algorithm, key))
            })
        })
        .map_err(bad)?;
    if algorithm.oid != ED25519 {
        return Err(KeyError::NotEd25519(algorithm.oid.to_string()));
    }
    let seed = OctetStringRef::from_der(key.as_bytes()).map_err(bad)?.as_bytes();
    seed.try_into().or(Err(KeyError::SeedLength(seed.len())))
}

#[cfg(test)]
mod tests;
