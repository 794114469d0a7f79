//! The client of a gateway, against the embedded one and against gateways that misbehave.

use std::time::Duration;

use axum::{Router, http::StatusCode, response::Redirect, routing::get};
use dfaas_agent::platform::{
    Credentials, LeftOut, Password, Platform,
    embedded::RunnerSettings,
    openfaas::{OpenFaas, OpenFaasSettings},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::runner::{PATIENCE, Runner, settings};

fn client(port: u16, credentials: Option<Credentials>, timeout: Duration) -> OpenFaas {
    OpenFaas::new(OpenFaasSettings { host: "127.0.0.1".parse().unwrap(), port, credentials, timeout }).unwrap()
}

/// A gateway whose list of functions is `list`; its port.
async fn gateway(list: axum::routing::MethodRouter) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let healthz = get(|| async { (StatusCode::NO_CONTENT, "") });
    let router = Router::new().route("/system/functions", list).route("/healthz", healthz);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn error_of(list: axum::routing::MethodRouter) -> String {
    let port = gateway(list).await;
    let error = client(port, None, PATIENCE).functions().await.unwrap_err();
    assert!(format!("{error:#}").contains(&port.to_string()), "{error:#}");
    format!("{error:#}")
}

#[tokio::test]
async fn the_client_reads_what_the_embedded_runner_tells() {
    let credentials = Credentials { user: "admin".to_owned(), password: Password::Text("secret".to_owned()) };
    let settings = RunnerSettings { credentials: credentials.clone(), deploy_shipped: true, ..settings() };
    let runner = Runner::start(settings).await;
    let port = runner.embedded.address().port();
    let openfaas = client(port, Some(credentials), PATIENCE);
    let functions = openfaas.functions().await.unwrap();
    assert_eq!(functions, runner.embedded.functions().await.unwrap());
    assert_eq!(functions.len(), 4);
    openfaas.health().await.unwrap();
    assert_eq!(openfaas.gateway(), runner.embedded.gateway());
    let error = client(port, None, PATIENCE).functions().await.unwrap_err();
    assert!(format!("{error:#}").contains("401"), "{error:#}");
}

#[tokio::test]
async fn one_bad_function_does_not_stop_the_rest() {
    let list =
        json!([{"name": "bad name", "labels": {}}, {"name": "good", "labels": {"dfaas.maxrate": "x"}, "replicas": 1}]);
    let port = gateway(get(|| async { axum::Json(list) })).await;
    let openfaas = client(port, None, PATIENCE);
    for reading in 1..=2 {
        let functions = openfaas.functions().await.unwrap();
        assert_eq!(functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["good"]);
        let counters = LeftOut { functions_left_out: reading, labels_ignored: reading };
        assert_eq!(openfaas.counters(), counters);
    }
}

#[tokio::test]
async fn an_empty_list_may_be_null() {
    let port = gateway(get(|| async { "null" })).await;
    assert_eq!(client(port, None, PATIENCE).functions().await.unwrap(), []);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_errors_and_bounded() {
    let text = error_of(get(|| async { StatusCode::BAD_GATEWAY })).await;
    assert!(text.contains("502"), "{text}");
    let text = error_of(get(|| async { "<html>" })).await;
    assert!(text.contains("JSON"), "{text}");
    let text = error_of(get(|| async { "[".repeat(9 << 20) })).await;
    assert!(text.contains("longer than"), "{text}");
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_password_away() {
    let text = error_of(get(|| async { Redirect::temporary("/healthz") })).await;
    assert!(text.contains("307"), "{text}");
}

#[tokio::test]
async fn a_gateway_that_hangs_or_is_gone_is_an_error_in_time() {
    let port = gateway(get(|| async { std::future::pending::<&str>().await })).await;
    let hanging = client(port, None, Duration::from_millis(200));
    assert!(tokio::time::timeout(PATIENCE, hanging.functions()).await.unwrap().is_err());
    // Health is 200 and nothing else.
    assert!(client(port, None, PATIENCE).health().await.is_err());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = client(closed, None, PATIENCE);
    assert!(gone.functions().await.is_err());
    assert!(gone.health().await.is_err());
}
