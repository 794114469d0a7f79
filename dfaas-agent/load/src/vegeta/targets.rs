//! Targets: one JSON object a line.

use std::{collections::BTreeMap, io::BufRead};

use anyhow::{Context as _, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Deserialize;

use crate::target::Target;
use dfaas_base::BadInput;

/// Targets are all read before the start.
const MAX_TARGETS: usize = 1_000_000;

#[derive(Deserialize)]
struct TargetLine {
    method: String,
    url: String,
    /// Base64.
    #[serde(default)]
    body: String,
    #[serde(default)]
    header: BTreeMap<String, Vec<String>>,
}

/// Reads targets; `more` headers and the body are for those that have none of their own.
pub fn read_targets(from: impl BufRead, name: &str, more: &[(String, String)], body: &Bytes) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for (n, line) in from.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {name}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let bad = |what: String| BadInput(format!("{name}, line {}: {what}", n + 1));
        if targets.len() == MAX_TARGETS {
            return Err(bad(format!("more targets than {MAX_TARGETS}")).into());
        }
        let parsed: TargetLine = serde_json::from_str(&line).map_err(|e| {
            bad(format!(r#"{e}; expected a target such as {{"method":"GET","url":"http://10.0.0.1:30080/"}}"#))
        })?;
        let own = BASE64_STANDARD.decode(&parsed.body).map_err(|e| bad(format!("body is not base64: {e}")))?;
        let own = if own.is_empty() { body.clone() } else { Bytes::from(own) };
        let headers =
            parsed.header.into_iter().flat_map(|(name, values)| values.into_iter().map(move |v| (name.clone(), v)));
        let headers: Vec<_> = more.iter().cloned().chain(headers).collect();
        targets.push(Target::new(&parsed.method, &parsed.url, &headers, own).map_err(bad)?);
    }
    if targets.is_empty() {
        return Err(BadInput(format!("{name} has no target, expected one JSON object a line")).into());
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Result<Vec<Target>> {
        read_targets(text.as_bytes(), "standard input", &[("X-All".into(), "1".into())], &Bytes::from("default"))
    }

    #[test]
    fn targets_have_bodies_in_base64_and_several_values_of_a_header() {
        let text = r#"{"method":"POST","url":"http://n1/f","body":"SGVsbG8h","header":{"X":["a","b"]}}

            {"method":"GET","url":"http://n2:8080/"}"#;
        let targets = targets(text).unwrap();
        assert_eq!((targets.len(), &targets[0].body[..], &targets[1].body[..]), (2, &b"Hello!"[..], &b"default"[..]));
        assert_eq!(targets[0].headers.get_all("x").iter().count(), 2);
        assert_eq!(targets[1].headers["x-all"], "1");
    }

    #[test]
    fn a_bad_target_is_named_with_its_line() {
        let good = r#"{"method":"GET","url":"http://n2:8080/"}"#;
        for (bad, part) in [
            (r#"{"method":"GET"}"#, "url"),
            (r#"{"method":"GET","url":"http://a/","body":"%"}"#, "base64"),
            (r#"{"method":"GET","url":"ftp://a/"}"#, "ftp://a/"),
            ("GET http://a/", "expected a target"),
        ] {
            let error = targets(&format!("{good}\n{bad}")).unwrap_err();
            assert!(error.is::<BadInput>());
            assert!(error.to_string().contains("line 2") && error.to_string().contains(part), "{error}");
        }
        assert!(targets("\n").unwrap_err().to_string().contains("no target"));
    }
}
