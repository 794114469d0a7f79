//! `/function/<name>`: one call, from the request to the response.

use std::{
    ffi::OsString,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts, uri::PathAndQuery},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use tokio::{
    process::Command,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    Runner, body,
    confinement::{Place, Start},
    deployment::NAMESPACE,
    function::Function,
    process::{self, Input, Limits, Output, RunError},
    refusal::Refusal,
    request_env,
};
use crate::request_rules::{self, Head};

const DURATION: HeaderName = HeaderName::from_static("x-duration-seconds");

pub(super) async fn invoke(State(runner): State<Arc<Runner>>, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    check(&parts)?;
    let (name, path) = split(parts.uri.path());
    let function = find(&runner, name)
        .ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no function {:?} on this node", shortened(name))))?;
    let body = body::read(body, &runner.call_body, runner.budget.lease()).await?;
    let query = parts.uri.query().unwrap_or_default();
    let variables = request_env::variables(&parts.method, path, query, &parts.headers, body.bytes.len())?;
    let _slots = slots(&runner, &function)?;
    let (mut command, order, place) = command(&runner, &function, variables)?;
    function.calls.started.fetch_add(1, Relaxed);
    let limits = Limits { timeout: function.exec_timeout, stdout_bytes: runner.max_response_bytes };
    let start = Instant::now();
    let run =
        process::run(&mut command, Input { order, body }, place, runner.budget.lease(), &limits, &function.calls.cpu);
    let output = run.await.map_err(|error| {
        let counter =
            if matches!(error, RunError::TimedOut(_)) { &function.calls.timed_out } else { &function.calls.failed };
        counter.fetch_add(1, Relaxed);
        tracing::debug!("function {}: {error}", function.name);
        Refusal(status(&error), format!("function {}: {error}", function.name))
    })?;
    Ok(if output.status.success() {
        success(&function, output, parts.headers.get(header::CONTENT_TYPE), start.elapsed())
    } else {
        failure(&function, output)
    })
}

/// Whoever calls: by the same rules as HAProxy.
fn check(parts: &Parts) -> Result<(), Refusal> {
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    let header_bytes: usize = parts.headers.iter().map(line).sum();
    let head = Head {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        target,
        odd_body: parts.version < Version::HTTP_11 && has_needless_body(parts),
        encodings: parts.headers.get_all(header::TRANSFER_ENCODING).iter().count(),
        hosts_differ: hosts_differ(parts),
        headers: parts.headers.len().saturating_sub(request_rules::ADDED_HEADERS),
        all_bytes: (target.len() + header_bytes).saturating_sub(request_rules::ADDED_BYTES),
    };
    let Some(rule) = request_rules::broken(&head) else { return Ok(()) };
    let status = StatusCode::from_u16(rule.status).unwrap_or(StatusCode::BAD_REQUEST);
    Err(Refusal(status, rule.text.to_owned()))
}

fn has_needless_body(parts: &Parts) -> bool {
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let has_body = length.is_some_and(|length| length != "0") || parts.headers.contains_key(header::TRANSFER_ENCODING);
    has_body && matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE)
}

/// HAProxy compares more kindly, but then there is one host behind it.
fn hosts_differ(parts: &Parts) -> bool {
    let named = parts.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let mut hosts = named.chain(parts.uri.authority().map(|host| host.as_str().as_bytes()));
    let first = hosts.next();
    hosts.any(|host| Some(host) != first)
}

/// `/function/name/a/b` is the function `name` called with the path `/a/b`.
fn split(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix("/function/").unwrap_or_default();
    rest.find('/').map_or((rest, ""), |end| rest.split_at(end))
}

/// OpenFaaS also takes the name with the namespace behind it.
fn find(runner: &Runner, name: &str) -> Option<Arc<Function>> {
    let get = |name: &str| runner.registry.get(&name.parse().ok()?);
    get(name).or_else(|| get(name.strip_suffix(NAMESPACE)?.strip_suffix('.')?))
}

type Slots = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// Full is refused at once: who waits here is better served by another node.
fn slots(runner: &Runner, function: &Function) -> Result<Slots, Refusal> {
    let take = |slots: &Arc<Semaphore>, status, whose: &str| {
        Arc::clone(slots).try_acquire_owned().map_err(|_| {
            function.calls.refused.fetch_add(1, Relaxed);
            Refusal(status, format!("{whose} has all its calls in flight"))
        })
    };
    let own = function.slots.as_ref();
    let own = own.map(|slots| take(slots, StatusCode::TOO_MANY_REQUESTS, "the function")).transpose()?;
    Ok((take(&runner.slots, StatusCode::SERVICE_UNAVAILABLE, "the node")?, own))
}

/// The command, what it reads first, and where it runs.
fn command(
    runner: &Runner,
    function: &Function,
    variables: Vec<(String, OsString)>,
) -> Result<(Command, Vec<u8>, Option<Place>), Refusal> {
    let own = function.deployment.env_vars.iter().map(|(name, value)| (name.clone(), value.into()));
    let path = std::iter::once(("PATH".to_owned(), function.path.clone().into()));
    let start = Start {
        program: &function.program,
        arguments: &function.arguments,
        environment: path.chain(own).chain(variables).collect(),
        work_dir: &runner.work_dir,
    };
    if let Some(confinement) = &runner.confinement {
        let place = confinement.place(function.memory_bytes(), function.millicpus());
        let place = place.map_err(|error| Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")))?;
        return Ok((confinement.command(), place.order(&start), Some(place)));
    }
    let mut command = Command::new(start.program);
    command.args(start.arguments).env_clear().envs(start.environment).current_dir(start.work_dir);
    if let Some(run_as) = runner.run_as {
        command.uid(run_as.uid).gid(run_as.gid);
    }
    Ok((command, Vec::new(), None))
}

/// The type is the function's own setting, or that of the request, as the watchdog does it.
fn success(function: &Function, output: Output, request_type: Option<&HeaderValue>, took: Duration) -> Response {
    if !output.stderr.is_empty() {
        tracing::debug!("function {}: {}", function.name, shortened(&String::from_utf8_lossy(&output.stderr)));
    }
    let body = output.stdout.into_bytes();
    let content_type = function.content_type.as_ref().or(request_type).cloned().unwrap_or_else(|| {
        let is_text = std::str::from_utf8(&body).is_ok();
        HeaderValue::from_static(if is_text { "text/plain; charset=utf-8" } else { "application/octet-stream" })
    });
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    if let Ok(seconds) = HeaderValue::from_str(&format!("{:.6}", took.as_secs_f64())) {
        response.headers_mut().insert(DURATION, seconds);
    }
    response
}

/// The error output, or the output of a program that complains there.
fn failure(function: &Function, output: Output) -> Response {
    function.calls.failed.fetch_add(1, Relaxed);
    tracing::debug!("function {}: {}", function.name, output.status);
    let details = if output.stderr.is_empty() { output.stdout.into_bytes() } else { Bytes::from(output.stderr) };
    let mut text = format!("{}\n", output.status).into_bytes();
    text.extend_from_slice(&details);
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::INTERNAL_SERVER_ERROR, plain, text).into_response()
}

fn status(error: &RunError) -> StatusCode {
    match error {
        // The watchdog says 408, which lets clients send the call again on their own; they must not here.
        RunError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        RunError::Memory => StatusCode::SERVICE_UNAVAILABLE,
        RunError::Start(_) | RunError::Pipe(_) | RunError::TooLong { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_after_the_name() {
        assert_eq!(split("/function/a"), ("a", ""));
        assert_eq!(split("/function/a/"), ("a", "/"));
        assert_eq!(split("/function/a/b//c"), ("a", "/b//c"));
        assert_eq!(split("/function/"), ("", ""));
    }
}
