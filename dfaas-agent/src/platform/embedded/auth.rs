//! Who may use the administrative calls.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::platform::Credentials;

pub(super) async fn check(State(credentials): State<Option<Credentials>>, request: Request, next: Next) -> Response {
    // A web page open on this machine could reach a loopback address; browsers name it here, tools do not.
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "calls from web pages are refused\n").into_response();
    }
    let Some(credentials) = credentials else { return next.run(request).await };
    let password = match credentials.password.read().await {
        Ok(password) => password,
        Err(error) => {
            tracing::warn!("an administrative call was refused: {error:#}");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the password cannot be read\n").into_response();
        }
    };
    if is_authorised(request.headers(), &credentials.user, &password) {
        return next.run(request).await;
    }
    let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"dfaas\"")];
    (StatusCode::UNAUTHORIZED, ask, "user or password is wrong\n").into_response()
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
    use axum::http::HeaderValue;

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
}
