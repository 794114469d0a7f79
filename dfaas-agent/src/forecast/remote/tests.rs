use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::*;

const GOOD: &str = r#"[{"cpu_usage_node":87.3,"ram_usage_node":3912345678.12,"power_usage_node":1034567.89}]"#;

/// A service that answers as it is told.
struct Service {
    remote: Remote,
    calls: Arc<AtomicU32>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start(answer: impl Fn(u32) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (calls, bodies) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, seen) = (calls.clone(), bodies.clone());
        let usage = move |body: Bytes| async move {
            seen.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
            answer(counted.fetch_add(1, Ordering::SeqCst))
        };
        let router =
            Router::new().route("/node_usage", get(usage)).route("/", get(|| async { "\"DFaaS Forecaster ready.\"" }));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { remote: remote(port), calls, bodies }
    }

    async fn ask(&self, high: f64) -> Result<Usage, ForecastError> {
        let remote = self.remote.clone();
        tokio::task::spawn_blocking(move || ask(&remote.computation(), high)).await.unwrap()
    }
}

fn remote(port: u16) -> Remote {
    let address = Endpoint { host: "127.0.0.1".parse().unwrap(), port };
    let budget = Budget { calls: 3, time: Duration::from_mins(1) };
    Remote::new(RemoteSettings { address, timeout: Duration::from_millis(900), budget }).unwrap()
}

fn ask(computation: &Computation<'_>, high: f64) -> Result<Usage, ForecastError> {
    let groups = GroupRates { high, low: 12.0, medium: 3.5 };
    computation.usage(NodeType::Mid, &Load { groups, functions: &[] })
}

#[tokio::test]
async fn a_question_has_its_keys_in_the_order_the_service_insists_on() {
    let service = Service::start(|_| GOOD.into_response()).await;
    let usage = service.ask(0.0).await.unwrap();
    assert_eq!(usage, Usage { cpu: 87.3, ram: 3_912_345_678.12, power: 1_034_567.89 });
    let expected =
        r#"{"rate_group_HIGH_USAGE":0.0,"rate_group_LOW_USAGE":12.0,"rate_group_MEDIUM_USAGE":3.5,"node_type":1}"#;
    assert_eq!(service.bodies.lock().unwrap()[..], [expected]);
}

#[tokio::test]
async fn every_bad_answer_is_an_error_that_says_what_came() {
    for (answer, said) in [
        ("[]", "an empty array"),
        ("{}", "expected a sequence"),
        (r#"[{"cpu_usage_node":1}]"#, "missing field `ram_usage_node`"),
        (r#"[{"cpu_usage_node":"1","ram_usage_node":1,"power_usage_node":1}]"#, "expected f64"),
        (r#"[{"cpu_usage_node":NaN,"ram_usage_node":1,"power_usage_node":1}]"#, "expected value"),
        (r#"[{"cpu_usage_node":-1,"ram_usage_node":1,"power_usage_node":1}]"#, "not negative"),
        ("", "EOF"),
    ] {
        let service = Service::start(move |_| answer.into_response()).await;
        let error = service.ask(0.0).await.unwrap_err();
        assert!(error.0.contains("127.0.0.1:") && error.0.contains(said), "{answer}: {error}");
    }
}

#[tokio::test]
async fn an_error_status_is_an_error_whatever_the_body_says() {
    let service = Service::start(|_| (StatusCode::INTERNAL_SERVER_ERROR, GOOD).into_response()).await;
    assert!(service.ask(0.0).await.unwrap_err().0.contains("500 Internal Server Error, expected 200 OK"));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let service = Service::start(|_| " ".repeat(ANSWER_LIMIT_BYTES + 1).into_response()).await;
    assert!(service.ask(0.0).await.unwrap_err().0.contains("longer than 65536 bytes"));
}

#[tokio::test]
async fn silence_ends_with_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = remote(listener.local_addr().unwrap().port());
    let asked = remote.clone();
    let error = tokio::task::spawn_blocking(move || ask(&asked.computation(), 0.0)).await.unwrap().unwrap_err();
    assert!(error.0.ends_with("no answer in 0.9 s"), "{error}");
    drop(listener);
    let error = tokio::task::spawn_blocking(move || ask(&remote.computation(), 0.0)).await.unwrap().unwrap_err();
    assert!(error.0.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_computation_has_a_budget_and_asks_nothing_twice() {
    let service = Service::start(|_| GOOD.into_response()).await;
    let remote = service.remote.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let computation = remote.computation();
        for _ in 0..2 {
            for high in [1.0, 2.0, 3.0] {
                ask(&computation, high).unwrap();
            }
        }
        let error = ask(&computation, 4.0).unwrap_err();
        assert!(error.0.ends_with("one computation needs more than 3 questions"), "{error}");
        ask(&remote.computation(), 4.0).unwrap();
        computation.calls()
    });
    assert_eq!(asked.await.unwrap(), 3);
    assert_eq!(service.calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_computation_that_takes_too_long_is_given_up() {
    let service = Service::start(|_| GOOD.into_response()).await;
    let mut remote = service.remote.clone();
    remote.settings.budget.time = Duration::ZERO;
    let error = tokio::task::spawn_blocking(move || ask(&remote.computation(), 1.0)).await.unwrap().unwrap_err();
    assert!(error.0.ends_with("one computation takes longer than 0 s"), "{error}");
    assert_eq!(service.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_rate_that_is_no_number_is_not_asked() {
    let service = Service::start(|_| GOOD.into_response()).await;
    assert!(service.ask(f64::NAN).await.unwrap_err().0.starts_with("rate of group HIGH_USAGE is NaN"));
    assert_eq!(service.calls.load(Ordering::SeqCst), 0);
}
