//! What is asked of whom.

use std::{fs, path::Path};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Uri,
    header::{HOST, HeaderName, HeaderValue},
};

/// A request that can be sent any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub method: Method,
    pub url: Uri,
    /// With `Host`.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Target {
    /// Errors name the bad value and what was expected.
    pub fn new(method: &str, url: &str, headers: &[(String, String)], body: Bytes) -> Result<Self, String> {
        let method = method
            .to_ascii_uppercase()
            .parse()
            .map_err(|_| format!("{method:?} is not a method, expected one such as GET or POST"))?;
        let url: Uri =
            url.parse().map_err(|_| format!("{url:?} is not a URL, expected one such as http://10.0.0.1:30080/x"))?;
        let host = match (url.scheme_str(), url.authority()) {
            (Some("http"), Some(authority)) if !authority.host().is_empty() => authority.as_str(),
            _ => return Err(format!("{url:?} is not a URL to play at, expected http://HOST[:PORT]/PATH (no TLS)")),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is not the name of a header"))?;
            let value = value.parse().map_err(|_| format!("{value:?} is not the value of a header ({name})"))?;
            all.append(name, value);
        }
        if !all.contains_key(HOST) {
            all.insert(HOST, HeaderValue::from_str(host).map_err(|_| format!("{host:?} is not a host"))?);
        }
        Ok(Self { method, url, headers: all, body })
    }

    /// Host and port, as `lookup_host` takes them.
    pub fn authority(&self) -> (String, u16) {
        let host = self.url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host.to_owned(), self.url.port_u16().unwrap_or(80))
    }

    /// Where the node of this target answers `path`.
    pub fn beside(&self, path: &str) -> String {
        format!("http://{}{path}", self.url.authority().map_or("", |authority| authority.as_str()))
    }
}

/// `Name: value`.
pub fn header(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    parts.filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("{text:?} is not a header, expected NAME: VALUE"))
}

/// The text itself, or with `@` the content of the file.
pub fn body(text: &str) -> Result<Bytes, String> {
    text.strip_prefix('@')
        .map_or_else(|| Ok(Bytes::copy_from_slice(text.as_bytes())), |path| body_file(Path::new(path)))
}

pub fn body_file(path: &Path) -> Result<Bytes, String> {
    fs::read(path).map(Bytes::from).map_err(|e| format!("cannot read the body {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_knows_its_host_in_both_families() {
        let target = |url: &str| Target::new("get", url, &[], Bytes::new()).unwrap();
        let six = target("http://[::1]:8080/function/x");
        assert_eq!(
            (six.authority(), &six.headers[HOST]),
            (("::1".into(), 8080), &HeaderValue::from_static("[::1]:8080"))
        );
        assert_eq!(target("http://n1/").authority(), ("n1".into(), 80));
        assert_eq!(six.beside("/healthz"), "http://[::1]:8080/healthz");
    }

    #[test]
    fn a_host_of_ones_own_wins() {
        let target = Target::new("GET", "http://n1/", &[("host".into(), "other".into())], Bytes::new()).unwrap();
        assert_eq!(target.headers[HOST], "other");
    }

    #[test]
    fn errors_name_the_bad_value() {
        let error = |method, url, header: &str, value: &str| {
            Target::new(method, url, &[(header.into(), value.into())], Bytes::new()).unwrap_err()
        };
        for (error, value) in [
            (error("G T", "http://a/", "a", "b"), "G T"),
            (error("GET", "https://a/", "a", "b"), "https://a/"),
            (error("GET", "/a", "a", "b"), "/a"),
            (error("GET", "http://a/", "a b", "c"), "a b"),
            (error("GET", "http://a/", "a", "c\n"), "c\\n"),
            (body("@/nonexistent").unwrap_err(), "/nonexistent"),
            (header_error("no colon"), "no colon"),
        ] {
            assert!(error.contains(value), "{error}");
        }
    }

    fn header_error(text: &str) -> String {
        header(text).unwrap_err()
    }
}
