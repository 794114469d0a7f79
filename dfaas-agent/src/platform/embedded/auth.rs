//! Who may use the administrative calls.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::platform::Credentials;

/// Refuses what a web page could send before it looks at the password: a browser may know that.
pub(super) async fn check(State(credentials): State<Credentials>, request: Request, next: Next) -> Response {
    if let Some(refusal) = from_a_page(request.headers()) {
        return (StatusCode::FORBIDDEN, refusal).into_response();
    }
    let password = match credentials.password.read().await {
        Ok(password) if !password.is_empty() => password,
        Ok(_) => return unreadable("the password is empty"),
        Err(error) => return unreadable(&format!("{error:#}")),
    };
    if is_authorised(request.headers(), &credentials.user, &password) {
        return next.run(request).await;
    }
    let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"dfaas\"")];
    (StatusCode::UNAUTHORIZED, ask, "user or password is wrong\n").into_response()
}

fn unreadable(why: &str) -> Response {
    tracing::warn!("an administrative call was refused: {why}");
    (StatusCode::INTERNAL_SERVER_ERROR, "the password cannot be read\n").into_response()
}

/// A page that is open on this machine could reach a loopback address. Browsers say that a page asks (`Origin`,
/// `Sec-Fetch-Site`), and the name they believe to talk to (`Host`): that of a page whose name was made to point here.
fn from_a_page(headers: &HeaderMap) -> Option<&'static str> {
    let site = headers.get("sec-fetch-site");
    if headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != "none") {
        return Some("calls from web pages are refused\n");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_here = |host: &HeaderValue| host.to_str().is_ok_and(names_this_machine);
    (!hosts.all(is_here)).then_some("calls for another host are refused: expected localhost or a loopback address\n")
}

/// With or without a port.
fn names_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_authorised(headers: &HeaderMap, user: &str, password: &str) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, text)| BASE64_STANDARD.decode(text.trim()).ok());
    given.is_some_and(|given| is_equal(&given, format!("{user}:{password}").as_bytes()))
}

/// In a time that tells the length at most, not how many bytes were right.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_user_and_password_pass() {
        let passes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            is_authorised(&headers, "admin", "secret")
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert!(passes(&basic("admin:secret")));
        assert!(passes(&basic("admin:secret").replace("Basic", "basic")));
        for bad in [&basic("admin:secret2"), &basic("admin:secre"), &basic("admin"), "Basic", "Basic !", "Bearer x"] {
            assert!(!passes(bad), "{bad}");
        }
        assert!(!is_authorised(&HeaderMap::new(), "", ""));
    }
    #[test]
    fn only_names_of_this_machine_are_taken_for_it() {
        for host in ["127.0.0.1:8080", "127.9.9.9", "localhost", "LocalHost:1", "[::1]:8080"] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1:80", "localhost.", "[::2]"]
        {
            assert!(!names_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_page_is_known_by_what_its_browser_says() {
        let refused = |name: &'static str, value: &'static str| {
            from_a_page(&HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])).is_some()
        };
        assert!(
            refused("origin", "null") && refused("sec-fetch-site", "cross-site") && refused("host", "evil.example")
        );
        assert!(!refused("sec-fetch-site", "none") && !refused("host", "127.0.0.1:8080"));
    }
}
