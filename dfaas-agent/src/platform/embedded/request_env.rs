//! A request as environment variables, in the manner of the OpenFaaS classic watchdog.

use std::{ffi::OsString, fmt, os::unix::ffi::OsStringExt};

use axum::http::{HeaderMap, HeaderValue, Method, header};

use crate::request_rules;

/// The kernel takes 128 KiB per variable and a share of the stack for all.
const LIMIT_BYTES: usize = 64 << 10;

/// No header stands for these: all but the last are set from the request line and the body, the last is what programs take
/// for the proxy they are to use (`request_rules::DROPPED_HEADER`). Whatever the case: so do programs look for it.
const RESERVED: [&str; 7] = [
    "Http_Method",
    "Http_Path",
    "Http_Query",
    "Http_ContentLength",
    "Http_Content_Length",
    "Http_Transfer_Encoding",
    "Http_Proxy",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRequest {
    TooLong,
    Path,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "path, query and headers are too long: expected at most {LIMIT_BYTES} bytes"),
            Self::Path => f.write_str("bad path: expected valid percent signs and no NUL byte"),
        }
    }
}

impl std::error::Error for BadRequest {}

/// `path`: what follows the function's name, still encoded.
pub(super) fn variables(
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body_bytes: usize,
) -> Result<Vec<(String, OsString)>, BadRequest> {
    let mut variables = Vec::with_capacity(headers.len() + RESERVED.len());
    for name in headers.keys() {
        let variable = variable_name(name.as_str());
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(&variable)) {
            continue;
        }
        // All of several values, as one list (RFC 9110, 5.3). The watchdog takes the first; of `X-Forwarded-For` that
        // would be what the client claims, and the proxy's own word would be lost.
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        variables.push((variable, OsString::from_vec(values.join(&b", "[..]))));
    }
    let path = decode(if path.is_empty() { "/" } else { path }).ok_or(BadRequest::Path)?;
    let length = if headers.contains_key(header::TRANSFER_ENCODING) { "-1".into() } else { body_bytes.to_string() };
    let mut set = |name: &str, value: OsString| variables.push((name.to_owned(), value));
    set("Http_Method", method.as_str().into());
    set("Http_Path", OsString::from_vec(path));
    if !query.is_empty() {
        set("Http_Query", query.into());
    }
    if let Some(encoding) = headers.get(header::TRANSFER_ENCODING) {
        set("Http_Transfer_Encoding", OsString::from_vec(encoding.as_bytes().to_vec()));
    }
    set("Http_ContentLength", length.clone().into());
    set("Http_Content_Length", length.into());
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > LIMIT_BYTES { Err(BadRequest::TooLong) } else { Ok(variables) }
}

/// `x-forwarded-for` becomes `Http_X_Forwarded_For`.
fn variable_name(header: &str) -> String {
    let mut name = String::from("Http_");
    let mut starts = true;
    for c in header.chars() {
        name.push(match c {
            '-' => '_',
            c if starts => c.to_ascii_uppercase(),
            c => c,
        });
        starts = c == '-';
    }
    name
}

fn decode(path: &str) -> Option<Vec<u8>> {
    request_rules::decoded(path).filter(|bytes| !bytes.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, query: &str, headers: &[(&'static str, &'static str)]) -> Result<Vec<String>, BadRequest> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let variables = variables(&Method::POST, path, query, &map, 7)?;
        Ok(variables.iter().map(|(name, value)| format!("{name}={}", value.to_string_lossy())).collect())
    }

    #[test]
    fn request_line_and_headers_become_variables() {
        let headers = [
            ("user-agent", "curl"),
            ("x-forwarded-for", "1.2.3.4"),
            ("content-length", "99"),
            ("x-forwarded-for", "5.6.7.8"),
        ];
        assert_eq!(
            lines("/a%20b", "q=%20", &headers).unwrap(),
            [
                "Http_User_Agent=curl",
                "Http_X_Forwarded_For=1.2.3.4, 5.6.7.8",
                "Http_Method=POST",
                "Http_Path=/a b",
                "Http_Query=q=%20",
                "Http_ContentLength=7",
                "Http_Content_Length=7",
            ]
        );
    }

    #[test]
    fn a_chunked_body_has_no_length() {
        let lines = lines("", "", &[("transfer-encoding", "chunked")]).unwrap();
        assert!(lines.contains(&"Http_Content_Length=-1".to_owned()));
        assert!(lines.contains(&"Http_Transfer_Encoding=chunked".to_owned()));
        assert!(lines.contains(&"Http_Path=/".to_owned()));
    }

    #[test]
    fn a_header_cannot_pose_as_the_request_line() {
        let lines = lines("/", "", &[("method", "DELETE"), ("query", "x=1"), ("contentlength", "1")]).unwrap();
        assert!(lines.contains(&"Http_Method=POST".to_owned()));
        assert!(!lines.iter().any(|l| l.contains("DELETE") || l.contains("x=1")), "{lines:?}");
    }

    #[test]
    fn no_header_names_a_proxy() {
        let lines = lines("/", "", &[("proxy", "http://evil"), ("content_length", "1"), ("proxy-a", "b")]).unwrap();
        assert!(!lines.iter().any(|line| line.contains("evil") || line.ends_with("=1")), "{lines:?}");
        assert!(lines.contains(&"Http_Proxy_A=b".to_owned()));
    }

    #[test]
    fn what_the_kernel_would_not_take_is_refused() {
        assert_eq!(lines("/a%00b", "", &[]), Err(BadRequest::Path));
        assert_eq!(lines("/a%4", "", &[]), Err(BadRequest::Path));
        assert_eq!(lines("/a%+1", "", &[]), Err(BadRequest::Path));
        let long: &'static str = "x".repeat(70 << 10).leak();
        assert_eq!(lines("/", "", &[("x-long", long)]), Err(BadRequest::TooLong));
    }
}
