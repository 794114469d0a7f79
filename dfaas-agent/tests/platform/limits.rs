//! What is refused, and that it does no harm to what is not.

use std::time::Duration;

use dfaas_agent::platform::embedded::{Embedded, RunnerSettings};
use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::runner::{PATIENCE, Runner, noise, settings, status_and_text, until};

#[tokio::test]
async fn calls_beyond_max_inflight_are_429_until_one_ends() {
    let runner = Runner::start(settings()).await;
    runner.deploy("f", &runner.waiting_command(), json!({"max_inflight": "2"})).await;
    let calls = [runner.call_aside(), runner.call_aside()];
    until("two calls run", || runner.counts().started == 2).await;
    let (status, text) = status_and_text(runner.call("")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{text}");
    assert_eq!(runner.counts().refused, 1);
    runner.open_gate();
    for call in calls {
        assert_eq!(call.await.unwrap().text().await.unwrap(), "passed\n");
    }
    assert_eq!(status_and_text(runner.call("")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn calls_beyond_what_the_node_runs_are_503() {
    let runner = Runner::start(RunnerSettings { max_calls: 1, ..settings() }).await;
    runner.deploy("f", &runner.waiting_command(), json!({})).await;
    runner.deploy("g", "echo g", json!({})).await;
    let call = runner.call_aside();
    until("one call runs", || runner.counts().started == 1).await;
    let other = || status_and_text(runner.client.get(runner.url("/function/g")));
    assert_eq!(other().await.0, StatusCode::SERVICE_UNAVAILABLE);
    runner.open_gate();
    call.await.unwrap();
    assert_eq!(other().await, (StatusCode::OK, "g\n".to_owned()));
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused_and_the_next_call_works() {
    let settings = RunnerSettings {
        max_request_bytes: 100_000,
        max_response_bytes: 200_000,
        max_buffered_bytes: 250_000,
        ..settings()
    };
    let runner = Runner::with(settings, "cat", json!({})).await;
    runner.deploy("long", "head -c 200001 /dev/zero", json!({})).await;
    runner.deploy("longer", "sh -c 'head -c 190000 /dev/zero; sleep 600'", json!({})).await;
    let post = |name: &str, bytes| runner.client.post(runner.url(&format!("/function/{name}"))).body(noise(bytes));
    assert_eq!(status_and_text(post("f", 100_001)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, text) = status_and_text(post("long", 0)).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("200000"), "{text}");
    // `longer` does not read, so its input and its output are held together.
    assert_eq!(status_and_text(post("longer", 100_000)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let answer = post("f", 100_000).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(answer, noise(100_000));
}

/// Sends this, and reads until the server closes the connection.
async fn exchange(runner: &Runner, request: &str) -> String {
    let mut stream = TcpStream::connect(runner.embedded.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_chunked_body_is_measured_as_it_comes() {
    let runner =
        Runner::with(RunnerSettings { max_request_bytes: 10, ..settings() }, "sh -c 'cat; env'", json!({})).await;
    let head = "POST /function/f HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let fits = exchange(&runner, &format!("{head}5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")).await;
    assert!(fits.starts_with("HTTP/1.1 200"), "{fits}");
    assert!(fits.contains("0123456789") && fits.contains("Http_Content_Length=-1"), "{fits}");
    let too_long = exchange(&runner, &format!("{head}5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n")).await;
    assert!(too_long.starts_with("HTTP/1.1 413"), "{too_long}");
}

#[tokio::test]
async fn a_body_that_stops_coming_starts_no_process() {
    let settings = RunnerSettings { body_timeout: Duration::from_millis(100), ..settings() };
    let runner = Runner::with(settings, "cat", json!({})).await;
    let head = "POST /function/f HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n12345";
    let answer = exchange(&runner, head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(runner.counts().started, 0);
}

#[tokio::test]
async fn headers_too_long_for_an_environment_are_431() {
    let runner = Runner::with(settings(), "env", json!({})).await;
    let call = |bytes: usize| status_and_text(runner.call("").header("x-long", "x".repeat(bytes)));
    assert_eq!(call(13_000).await.0, StatusCode::OK);
    assert_eq!(call(16_000).await.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(status_and_text(runner.client.get(runner.url("/function/f/%00"))).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let runner = Runner::with(RunnerSettings { max_connections: 2, ..settings() }, "cat", json!({})).await;
    // The client of `runner` keeps one connection open.
    let second = TcpStream::connect(runner.embedded.address()).await.unwrap();
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut third = Box::pin(exchange(&runner, request));
    assert!(timeout(Duration::from_millis(300), &mut third).await.is_err(), "the third was served");
    drop(second);
    let answer = timeout(PATIENCE, third).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let settings = RunnerSettings { idle_timeout: Duration::from_millis(300), ..settings() };
    let runner = Runner::with(settings, "sh -c 'sleep 1; echo late'", json!({})).await;
    for sent in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let answer = exchange(&runner, sent).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), sent.ends_with("\r\n\r\n"), "{sent:?}: {answer}");
    }
    // A connection waiting for its answer is not idle.
    assert_eq!(status_and_text(runner.call("")).await, (StatusCode::OK, "late\n".to_owned()));
}

#[tokio::test]
async fn an_address_others_can_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let settings = RunnerSettings { address: address.parse().unwrap(), ..settings() };
        let error = Embedded::start(settings).await.err().unwrap().to_string();
        assert!(error.contains(address) && error.contains("loopback"), "{error}");
    }
}
