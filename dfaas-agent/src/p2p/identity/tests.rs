use std::fs;

use super::*;

const VECTOR: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g
-----END PRIVATE KEY-----
";
const VECTOR_NODE: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";

fn vector_seed() -> [u8; 32] {
    std::array::from_fn(|i| i as u8 + 1)
}

fn folder_with(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn the_known_seed_gives_the_known_peer_id_and_file() {
    let (_folder, path) = folder_with(VECTOR);
    let identity = Identity::load_or_create(&path).unwrap();
    assert_eq!(identity.node_id.as_str(), VECTOR_NODE);
    assert_eq!(identity.keypair.public().to_peer_id().to_base58(), VECTOR_NODE);
    assert_eq!(to_pem(&vector_seed()).unwrap(), VECTOR);
    assert_eq!(fs::read_to_string(&path).unwrap(), VECTOR);
}

#[test]
fn text_around_the_block_other_line_ends_and_trailing_fields_are_tolerated() {
    let second = VECTOR.replace("IAEC", "IAED");
    for text in [
        format!("comment\n{VECTOR}trailing"),
        VECTOR.replace('\n', "\r\n"),
        VECTOR.replace("BCIE", "BC\nIE"),
        VECTOR.trim_end().to_owned(),
        format!("{VECTOR}{second}"),
    ] {
        assert_eq!(parse(&text), Ok(vector_seed()), "{text:?}");
    }
    let mut der = vec![0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(vector_seed());
    der.extend([0x81, 0x21, 0]);
    der.extend([0; 32]);
    assert_eq!(seed_of(&der), Ok(vector_seed()));
}

#[test]
fn a_file_without_an_ed25519_key_is_refused_and_kept() {
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMC4=\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(parse(rsa), Err(KeyError::WrongBlock("RSA PRIVATE KEY".into())));
    // X25519 (1.3.101.110) instead of Ed25519.
    let x25519 = VECTOR.replace("K2Vw", "K2Vu");
    assert_eq!(parse(&x25519), Err(KeyError::NotEd25519("1.3.101.110".into())));
    assert_eq!(parse("hello"), Err(KeyError::NoBlock));
    assert_eq!(parse("-----BEGIN PRIVATE KEY-----\nMC4"), Err(KeyError::NoBlock));
    assert_eq!(parse(&VECTOR.replace("MC4C", "M*4C")), Err(KeyError::BadBase64));
    assert!(matches!(parse(&VECTOR.replace("MC4C", "MC8C")), Err(KeyError::BadDer(_))));
    for text in [rsa, "hello", "\n"] {
        let (_folder, path) = folder_with(text);
        let error = format!("{:#}", Identity::load_or_create(&path).unwrap_err());
        assert!(error.contains("key.pem"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_truncated_or_mutated_key_never_panics() {
    let mut der = pem::decode_vec(VECTOR.as_bytes()).unwrap().1;
    for at in 0..der.len() {
        let _ = seed_of(&der[..at]);
        for bit in 0..8 {
            der[at] ^= 1 << bit;
            let _ = seed_of(&der);
            der[at] ^= 1 << bit;
        }
    }
    assert_eq!(seed_of(&der), Ok(vector_seed()));
}

#[test]
fn a_missing_or_empty_file_is_made_once_with_private_mode() {
    let (_folder, empty) = folder_with("");
    for path in [empty.clone(), empty.with_file_name("missing.pem")] {
        let first = Identity::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.node_id, second.node_id);
    }
    let other = Identity::load_or_create(&empty.with_file_name("other.pem")).unwrap();
    assert_ne!(other.node_id, Identity::load_or_create(&empty).unwrap().node_id);
    assert_eq!(fs::read_dir(empty.parent().unwrap()).unwrap().count(), 3, "a temporary file was left behind");
    assert!(Identity::load_or_create(&empty.with_file_name("no-folder").join("key.pem")).is_err());
}
