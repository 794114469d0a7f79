//! What a request asks for. The order of keys does not matter; what is wrong is told with the key's name.

use serde_json::{Map, Value};

use crate::forecast::models::FEATURES;

/// Why a request is refused, and for which key of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) key: Option<String>,
    pub(super) why: String,
}

/// The features, in the order of the models.
pub(super) fn features(body: &[u8]) -> Result<[f64; FEATURES.len()], Refusal> {
    let whole = |why: String| Refusal { key: None, why };
    let value: Value = serde_json::from_slice(body).map_err(|e| whole(format!("the body is not JSON: {e}")))?;
    let Value::Object(object) = value else { return Err(whole("the body is not a JSON object".into())) };
    if let Some(key) = object.keys().find(|key| !FEATURES.contains(&key.as_str())) {
        let shown: String = key.chars().take(80).collect();
        return Err(Refusal { key: Some(shown), why: format!("unknown key, expected {}", FEATURES.join(", ")) });
    }
    let mut features = [0.0; FEATURES.len()];
    for (feature, key) in features.iter_mut().zip(FEATURES) {
        *feature = of(&object, key).map_err(|why| Refusal { key: Some(key.into()), why })?;
    }
    Ok(features)
}

fn of(object: &Map<String, Value>, key: &str) -> Result<f64, String> {
    let value = object.get(key).ok_or("missing")?;
    let found = value.as_f64().filter(|number| number.is_finite());
    if key == FEATURES[3] {
        let node = found.filter(|number| [0.0, 1.0, 2.0].contains(number));
        return node.ok_or_else(|| format!("is {}, expected 0 (heavy), 1 (mid) or 2 (light)", short(value)));
    }
    found.filter(|rate| *rate >= 0.0).ok_or_else(|| format!("is {}, expected a rate of at least 0", short(value)))
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"node_type":1,"rate_group_MEDIUM_USAGE":3.5,"rate_group_HIGH_USAGE":1,"rate_group_LOW_USAGE":2}"#;

    #[test]
    fn keys_may_come_in_any_order() {
        assert_eq!(features(GOOD.as_bytes()), Ok([1.0, 2.0, 3.5, 1.0]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        for (from, to, key, why) in [
            ("LOW_USAGE\":2", "SOME_USAGE\":2", "rate_group_SOME_USAGE", "unknown key"),
            (",\"rate_group_LOW_USAGE\":2", "", "rate_group_LOW_USAGE", "missing"),
            ("\":3.5", "\":-1", "rate_group_MEDIUM_USAGE", "is -1, expected a rate"),
            ("\":3.5", "\":\"1\"", "rate_group_MEDIUM_USAGE", "is \"1\", expected a rate"),
            ("\":3.5", "\":null", "rate_group_MEDIUM_USAGE", "is null"),
            ("node_type\":1", "node_type\":1.5", "node_type", "is 1.5, expected 0 (heavy)"),
        ] {
            let refusal = features(GOOD.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(refusal.key.as_deref(), Some(key));
            assert!(refusal.why.starts_with(why), "{}", refusal.why);
        }
        for bad in ["", "[]", "{", "1", "{\"rate_group_LOW_USAGE\":1e999}"] {
            assert_eq!(features(bad.as_bytes()).unwrap_err().key, None, "{bad}");
        }
    }
}
