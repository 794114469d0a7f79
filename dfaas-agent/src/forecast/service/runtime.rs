//! `runtime.json`: how the models of a folder are served. Every field may be absent, and so may the file.

use std::{fs, path::Path};

use serde::Deserialize;

use crate::forecast::{folder::MANIFEST, models::Family};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Where the models are, seen from the folder of this file.
    pub models_base_dir: String,
    pub family: Option<Family>,
    pub manifest_filename: String,
    pub reload: Reload,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    Never,
    /// When the manifest has changed.
    Poll {
        seconds: u64,
    },
    /// When somebody who knows the token asks for it.
    Endpoint {
        token: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    models_base_dir: Option<String>,
    models_type: Option<String>,
    manifest_filename: Option<String>,
    reload_mode: Option<String>,
    reload_interval_seconds: Option<u64>,
    reload_token: Option<String>,
}

impl Runtime {
    /// `family` wins over the file.
    pub fn read(folder: &Path, family: Option<Family>) -> Result<Self, String> {
        let file = folder.join("runtime.json");
        let text = if file.exists() {
            fs::read_to_string(&file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?
        } else {
            "{}".to_owned()
        };
        let runtime = Self::from_json(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(Self { family: family.or(runtime.family), ..runtime })
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let reload = match document.reload_mode.as_deref() {
            None | Some("none") => Reload::Never,
            Some("poll") => match document.reload_interval_seconds.unwrap_or(30) {
                0 => return Err("reload_interval_seconds is 0, expected at least 1".into()),
                seconds => Reload::Poll { seconds },
            },
            Some("endpoint") => match document.reload_token {
                Some(token) if !token.is_empty() => Reload::Endpoint { token },
                _ => return Err("reload_token is missing, expected one for reload_mode endpoint".into()),
            },
            Some(other) => return Err(format!("reload_mode is {other:?}, expected none, poll or endpoint")),
        };
        let family =
            document.models_type.map(|name| name.parse().map_err(|e| format!("models_type: {e}"))).transpose()?;
        Ok(Self {
            models_base_dir: document.models_base_dir.unwrap_or_else(|| ".".into()),
            family,
            manifest_filename: document.manifest_filename.unwrap_or_else(|| MANIFEST.into()),
            reload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_values_of_the_original_when_absent() {
        let runtime = Runtime::from_json("{}").unwrap();
        assert_eq!((runtime.models_base_dir.as_str(), runtime.manifest_filename.as_str()), (".", MANIFEST));
        assert_eq!((runtime.family, runtime.reload), (None, Reload::Never));
        let poll = Runtime::from_json(r#"{"reload_mode":"poll","models_type":"quantile095"}"#).unwrap();
        assert_eq!((poll.family, poll.reload), (Some(Family::Quantile095), Reload::Poll { seconds: 30 }));
    }

    #[test]
    fn a_wrong_field_is_named_with_its_value() {
        for (text, expected) in [
            (r#"{"reload_mode":"often"}"#, "reload_mode is \"often\", expected none, poll or endpoint"),
            (r#"{"reload_mode":"poll","reload_interval_seconds":0}"#, "reload_interval_seconds is 0"),
            (r#"{"reload_mode":"endpoint","reload_token":""}"#, "reload_token is missing"),
            (r#"{"models_type":"mean"}"#, "models_type: unknown models \"mean\""),
            (r#"{"reload":1}"#, "unknown field `reload`"),
        ] {
            let error = Runtime::from_json(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
