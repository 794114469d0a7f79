//! A folder of models: `models/*.lgb.txt[.gz]`, `scalers.json`, and, if there is one, a manifest with the hash of each.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub const MANIFEST: &str = "manifest.json";

/// What must be read from the folder is read through this, so that nothing unverified is used.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    root: PathBuf,
    manifest: Option<Manifest>,
}

/// Says what belongs to a version of the models. Other fields are for those who make it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Manifest {
    pub model_version: String,
    pub models_type: Option<String>,
    /// By path in the folder, in hexadecimal.
    pub sha256: BTreeMap<String, String>,
}

impl ModelFolder {
    /// The folder `models` in it may be named too.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let inside = folder.file_name().is_some_and(|name| name == "models") && !folder.join("scalers.json").exists();
        Self::with_manifest(if inside { folder.parent().unwrap_or(folder) } else { folder }, MANIFEST)
    }

    pub fn with_manifest(root: &Path, name: &str) -> Result<Self, String> {
        if !root.is_dir() {
            return Err(format!("{}: is not a folder, expected one with models and scalers.json", root.display()));
        }
        let file = root.join(name);
        let manifest = if file.exists() {
            let text = fs::read(&file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
            Some(serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", file.display()))?)
        } else {
            None
        };
        Ok(Self { root: root.to_owned(), manifest })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Path of a file in the folder, and what is in it. Refused if there is a manifest that says otherwise.
    pub fn read(&self, name: &str) -> Result<(PathBuf, Vec<u8>), String> {
        let file = self.root.join(name);
        let bytes = fs::read(&file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
        if let Some(manifest) = &self.manifest {
            let found = hexadecimal(&Sha256::digest(&bytes));
            match manifest.sha256.get(name) {
                Some(expected) if expected.eq_ignore_ascii_case(&found) => {}
                Some(expected) => {
                    return Err(format!("{}: has SHA-256 {found}, the manifest has {expected}", file.display()));
                }
                None => return Err(format!("{}: is not in the manifest", file.display())),
            }
        }
        Ok((file, bytes))
    }

    /// Name of a model's file in the folder: compressed or not, in `models` or beside the scalers.
    pub fn model(&self, model: &str) -> Result<String, String> {
        let names =
            ["models/", ""].iter().flat_map(|place| [".gz", ""].map(|end| format!("{place}{model}.lgb.txt{end}")));
        let missing = || format!("{}: has no model models/{model}.lgb.txt.gz", self.root.display());
        names.into_iter().find(|name| self.root.join(name).exists()).ok_or_else(missing)
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_the_manifest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "abc").unwrap();
        fs::write(folder.path().join("b"), "abc").unwrap();
        let open = || ModelFolder::open(folder.path()).unwrap();
        assert_eq!(open().read("a").unwrap().1, b"abc");
        let hash = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let manifest = |hash: &str| format!(r#"{{"model_version":"1","sha256":{{"a":"{hash}"}},"more":1}}"#);
        fs::write(folder.path().join(MANIFEST), manifest(hash)).unwrap();
        assert_eq!(open().read("a").unwrap().1, b"abc");
        assert!(open().read("b").unwrap_err().ends_with("b: is not in the manifest"));
        fs::write(folder.path().join(MANIFEST), manifest("00")).unwrap();
        assert!(open().read("a").unwrap_err().contains("a: has SHA-256 ba78"));
        fs::write(folder.path().join(MANIFEST), "{}").unwrap();
        assert!(ModelFolder::open(folder.path()).unwrap_err().contains("manifest.json: missing field `model_version`"));
    }

    #[test]
    fn models_are_found_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        fs::create_dir(&models).unwrap();
        fs::write(models.join("x.lgb.txt"), "").unwrap();
        // The inner folder may be named as well.
        assert_eq!(ModelFolder::open(&models).unwrap().model("x").unwrap(), "models/x.lgb.txt");
        fs::write(models.join("x.lgb.txt.gz"), "").unwrap();
        let folder = ModelFolder::open(folder.path()).unwrap();
        assert_eq!(folder.model("x").unwrap(), "models/x.lgb.txt.gz");
        assert!(folder.model("y").unwrap_err().contains("has no model models/y.lgb.txt.gz"));
    }
}
