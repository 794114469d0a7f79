//! What a request to a function may look like: one table, whose left side HAProxy's configuration is written from and
//! whose right side the embedded gateway asks. The kernel reads no more of a request than its function's name, and what
//! it places goes through HAProxy; `tests/proxy/heads.rs` holds all three against each other.

/// Of path and query: what RFC 9110 (4.1) asks every server to take.
pub(crate) const MAX_TARGET_BYTES: usize = 8_000;
/// Of path, query and headers. HAProxy keeps 1 KiB of its 16 KiB for itself, and 4 bytes a header.
pub(crate) const MAX_HEAD_BYTES: usize = 14 << 10;
/// HAProxy takes 100 lines; this leaves room for those that HAProxies on the way add.
pub(crate) const MAX_HEADERS: usize = 96;

/// Lines and bytes that HAProxies on the way add (`X-Forwarded-For`, `DFaaS-Node-ID`): not the client's doing.
pub(crate) const ADDED_HEADERS: usize = 4;
pub(crate) const ADDED_BYTES: usize = 512;

/// Never passed on: as a variable of a process its name is `Http_Proxy`, which many programs take for the proxy they are
/// to use.
pub(crate) const DROPPED_HEADER: &str = "Proxy";

/// A request as far as the rules look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a str,
    /// Still encoded, without the query.
    pub(crate) path: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    /// A body in HTTP/1.0 with a method that has none: servers on the way do not agree on where it ends.
    pub(crate) odd_body: bool,
    /// How many times `Transfer-Encoding` is there: readers do not agree on what several mean.
    pub(crate) encodings: usize,
    pub(crate) headers: usize,
    /// It names more than one host, in `Host` or before the path.
    pub(crate) hosts_differ: bool,
    /// Of path, query and headers, as they are sent.
    pub(crate) all_bytes: usize,
}

/// Something a request must not be.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Told to the client.
    pub(crate) status: u16,
    pub(crate) text: &'static str,
    /// The condition under which HAProxy refuses, over the variables of [`HAPROXY_VARIABLES`]; none where its parser does.
    pub(crate) haproxy: Option<&'static str>,
    breaks: fn(&Head<'_>) -> bool,
}

/// What the conditions look at, computed once a request: name and expression.
pub(crate) const HAPROXY_VARIABLES: [(&str, &str); 3] = [
    ("txn.decoded", "path,url_dec"),
    ("txn.target_bytes", "pathq,length"),
    ("txn.head_bytes", "req.hdrs,length,add(txn.target_bytes)"),
];

/// The first that is broken is told. Numbers stand in the conditions as text; a test holds them to the constants.
pub(crate) static RULES: [Rule; 11] = [
    Rule {
        status: 400,
        text: "Transfer-Encoding is there more than once",
        haproxy: None,
        breaks: |head| head.encodings > 1,
    },
    Rule { status: 400, text: "path and query are not ASCII", haproxy: None, breaks: |head| !head.target.is_ascii() },
    Rule {
        status: 413,
        text: "GET, HEAD and DELETE have no body in HTTP/1.0",
        haproxy: None,
        breaks: |head| head.odd_body,
    },
    Rule {
        status: 400,
        text: "there are several hosts, expected one",
        haproxy: None,
        breaks: |head| head.hosts_differ,
    },
    Rule {
        status: 501,
        text: "CONNECT and TRACE are not served",
        haproxy: Some("{ method CONNECT TRACE }"),
        breaks: |head| matches!(head.method, "CONNECT" | "TRACE"),
    },
    Rule {
        status: 414,
        text: "the path and query are too long, expected at most 8000 bytes",
        haproxy: Some("{ var(txn.target_bytes) -m int gt 8000 }"),
        breaks: |head| head.target.len() > MAX_TARGET_BYTES,
    },
    Rule {
        status: 431,
        text: "there are too many headers, expected at most 96",
        haproxy: Some("{ req.fhdr_cnt gt 96 }"),
        breaks: |head| head.headers > MAX_HEADERS,
    },
    Rule {
        status: 431,
        text: "path, query and headers are too long, expected at most 14336 bytes",
        haproxy: Some("{ var(txn.head_bytes) -m int gt 14336 }"),
        breaks: |head| head.all_bytes > MAX_HEAD_BYTES,
    },
    Rule {
        // HAProxy has no decoded path then, so that rules about it would not see anything.
        status: 400,
        text: "the path has a percent sign that two hexadecimal digits do not follow",
        haproxy: Some("!{ var(txn.decoded) -m found }"),
        breaks: |head| decoded(head.path).is_none(),
    },
    Rule {
        status: 400,
        text: "the path has a NUL byte",
        haproxy: Some("{ path -m sub %00 }"),
        breaks: |head| head.path.contains("%00"),
    },
    Rule {
        // They could lead out of the function at a gateway that resolves them.
        status: 403,
        text: "forbidden",
        haproxy: Some("{ var(txn.decoded) -m sub /../ /./ } or { var(txn.decoded) -m end /.. /. }"),
        breaks: |head| decoded(head.path).is_some_and(|path| has_dot_segment(&path)),
    },
];

/// The first rule that the request breaks.
pub(crate) fn broken(head: &Head<'_>) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.breaks)(head))
}

/// The bytes that a path stands for; `None` if an escape is not one.
pub(crate) fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            (digit()? * 16 + digit()?) as u8
        } else {
            byte
        });
    }
    Some(decoded)
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').skip(1).any(|segment| matches!(segment, b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, path: &str, headers: usize, all_bytes: usize) -> u16 {
        let (target, odd_body, hosts_differ, encodings) = (path, false, false, 0);
        let head = Head { method, path, target, odd_body, encodings, headers, hosts_differ, all_bytes };
        broken(&head).map_or(200, |rule| rule.status)
    }

    #[test]
    fn each_rule_refuses_what_it_names_and_nothing_beside() {
        for (path, want) in [
            ("/function/f", 200),
            ("/function/f/", 200),
            ("/function/f/a.b/..c/.../%41%7e", 200),
            ("/function/f/%252e%252e", 200),
            ("/function/f/..", 403),
            ("/function/f/.", 403),
            ("/function/../f", 403),
            ("/function/f/%2e%2E/x", 403),
            ("/function/f/..%2fx", 403),
            ("/function/f%2f.", 403),
            ("/function/x/%zz/../../system/functions", 400),
            ("/function/x/%", 400),
            ("/function/x/%4", 400),
            ("/function/x/%+1", 400),
            ("/function/x/%00", 400),
        ] {
            assert_eq!(status("GET", path, 1, 100), want, "{path}");
        }
        for (method, want) in [("GET", 200), ("BREW", 200), ("trace", 200), ("TRACE", 501), ("CONNECT", 501)] {
            assert_eq!(status(method, "/function/f", 1, 100), want, "{method}");
        }
        assert_eq!(
            (status("GET", "/", 96, 14_336), status("GET", "/", 97, 100), status("GET", "/", 1, 14_337)),
            (200, 431, 431)
        );
        let long = "/".repeat(8_001);
        assert_eq!((status("GET", &long[1..], 1, 100), status("GET", &long, 1, 100)), (200, 414));
    }

    #[test]
    fn the_conditions_and_the_texts_name_the_limits() {
        for limit in [MAX_TARGET_BYTES, MAX_HEAD_BYTES, MAX_HEADERS].map(|limit| limit.to_string()) {
            let rules: Vec<_> = RULES.iter().filter(|rule| rule.text.contains(&limit)).collect();
            assert!(
                rules.len() == 1 && rules[0].haproxy.unwrap().contains(&format!("gt {limit} }}")),
                "{limit}: {rules:?}"
            );
        }
    }
}
