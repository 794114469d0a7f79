//! Request heads as attackers and odd clients write them: from a grammar, then sometimes with a byte changed.

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

const METHODS: [&str; 16] = [
    "GET", "POST", "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "CONNECT", "TRACE", "get", "BREW",
    "G\tET", "", "POST\0",
];
const GAPS: [&str; 7] = [" ", " ", " ", " ", "  ", "\t", ""];
const PREFIXES: [&str; 16] = [
    "/function/",
    "/function/",
    "/function/",
    "/function/",
    "/function/",
    "/Function/",
    "//function/",
    "/function//",
    "/functions/",
    "/function/../function/",
    "/%66unction/",
    "/./function/",
    "http://h/function/",
    "http://u@h:80/function/",
    "/function",
    "*",
];
const NAMES: [&str; 11] =
    ["beta", "beta", "beta", "beta", "alpha", "alpha", "gamma", "b%65ta", "beta%20", "BETA", "beta.openfaas-fn"];
const TAILS: [&str; 36] = [
    "",
    "",
    "",
    "",
    "/",
    "/x",
    "//",
    "/..",
    "/.",
    "/../alpha",
    "/./x",
    "/%2e%2E",
    "/%2e",
    "/..%2fx",
    "/%2e%2e%2f",
    "/%zz",
    "/%",
    "/%4",
    "/%00",
    "/%252e%252e/",
    "/x/%zz/../../system/functions",
    "?q",
    "?a=/../b",
    "?%zz",
    "?",
    "#f",
    "/..#f",
    "/x?y#z",
    ";x",
    "/..;/x",
    "/..\\x",
    "/|\"<>^`{}",
    "/\u{e9}",
    "/%e9",
    "/...",
    "/a.b..",
];
const VERSIONS: [&str; 16] = [
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/0.9",
    " HTTP/1.2",
    " HTTP/2.0",
    " http/1.1",
    " HTTP/1.1 ",
    "  HTTP/1.1",
    " HTTP/01.1",
    " HTTP/11",
    "\tHTTP/1.1",
    "",
];
const ENDS: [&str; 8] = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\r\n", "\r"];
const HEADERS: [&str; 40] = [
    "Proxy: http://evil.example:1",
    "proxy: http://evil.example:2",
    "PROXY:http://evil.example:3",
    "Proxy : http://evil.example:4",
    "Proxy\t: http://evil.example:5",
    "X-Forwarded-For: 1.2.3.4",
    "Connection: close",
    "Connection: keep-alive, Proxy",
    "Connection: Upgrade",
    "Upgrade: h2c",
    "Host: other",
    "Host: a b",
    "Host:",
    "Host : x",
    " Host: folded",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding : chunked",
    "transfer_encoding: chunked",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: +5",
    "Content-Length: -1",
    "Content-Length: 5, 5",
    "Content-Length: 5 6",
    "Content-Length: 0x5",
    "Content-Length: 99999999999999999999",
    "Content-Length:",
    "Expect: 100-continue",
    "DFaaS-Node-ID: nobody",
    "no colon",
    ": no name",
    "B@d: x",
    "Bad(: x",
    "X: \u{0}",
    "X: \u{e9}",
    "X: a\rb",
];
const BODIES: [&str; 5] =
    ["", "12345", "5\r\n12345\r\n0\r\n\r\n", "0\r\n\r\n", "GET /function/alpha HTTP/1.1\r\nHost: x\r\n\r\n"];

/// Bytes that mean something to one reader or another.
const ODD: &[u8] = b"\0\t\n\r !#%/:;?@\\\x7f\x80\xff.0aG";

pub(crate) fn head(random: &mut StdRng) -> Vec<u8> {
    let end = *ENDS.choose(random).unwrap();
    let mut text = String::new();
    if random.random_ratio(1, 50) {
        text.push_str(end);
    }
    let target = target(random);
    for part in [&METHODS[..], &GAPS, &[&target], &VERSIONS, &[end]] {
        text.push_str(part.choose(random).unwrap());
    }
    for header in headers(random) {
        text.push_str(&header);
        // Mostly one kind of line end throughout.
        text.push_str(if random.random_ratio(1, 30) { ENDS.choose(random).unwrap() } else { end });
    }
    text.push_str(end);
    text.push_str(BODIES.choose(random).unwrap());
    let mut bytes = text.into_bytes();
    for _ in 0..*[0, 0, 0, 0, 0, 0, 1, 2].choose(random).unwrap() {
        change(random, &mut bytes);
    }
    bytes
}

fn target(random: &mut StdRng) -> String {
    let mut target = String::from(*PREFIXES.choose(random).unwrap());
    target.push_str(NAMES.choose(random).unwrap());
    for _ in 0..*[1, 1, 1, 2, 3].choose(random).unwrap() {
        target.push_str(TAILS.choose(random).unwrap());
    }
    if random.random_ratio(1, 60) {
        // About as long as is allowed.
        let missing = 8_000usize.saturating_sub(target.len()) + random.random_range(0..4) - 1;
        target.push_str(&"x".repeat(missing));
    }
    target
}

fn headers(random: &mut StdRng) -> Vec<String> {
    let mut headers = Vec::new();
    if random.random_ratio(9, 10) {
        headers.push("Host: h".to_owned());
    }
    for _ in 0..random.random_range(0..4) {
        headers.push((*HEADERS.choose(random).unwrap()).to_owned());
    }
    if random.random_ratio(1, 60) {
        let count = random.random_range(88..104);
        headers.extend((0..count).map(|i| format!("X-{i}: y")));
    }
    if random.random_ratio(1, 60) {
        headers.push(format!("X-Long: {}", "y".repeat(random.random_range(12_000..16_500))));
    }
    headers
}

fn change(random: &mut StdRng, bytes: &mut Vec<u8>) {
    let at = random.random_range(0..bytes.len());
    let odd = *ODD.choose(random).unwrap();
    match random.random_range(0..4) {
        0 => bytes[at] = odd,
        1 => bytes.insert(at, odd),
        2 => drop(bytes.remove(at)),
        _ => bytes.truncate(at + 1),
    }
}
