//! The administrative interface, as an OpenFaaS client sees it.

use dfaas_agent::platform::{Credentials, DeployedFunction, Password, Platform, embedded::RunnerSettings};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::runner::{Runner, settings, status_and_text};

async fn admin(runner: &Runner, method: Method, body: &Value) -> (StatusCode, String) {
    // As curl sends it: the content type is not relied on.
    let form = "application/x-www-form-urlencoded";
    let request = runner.admin.request(method, runner.url("/system/functions"));
    status_and_text(request.header("content-type", form).body(body.to_string())).await
}

async fn get(runner: &Runner, path: &str) -> Value {
    runner.admin.get(runner.url(path)).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_function_is_deployed_updated_and_removed() {
    let runner = Runner::start(settings()).await;
    assert_eq!(get(&runner, "/system/functions").await, json!([]));
    let mut deployment = json!({"service": "f", "image": "some/image", "envProcess": "echo one", "network": "ignored",
        "labels": {"dfaas.maxrate": "5", "dfaas.timeout_ms": "2500"}, "annotations": {"topic": "x"}});
    assert_eq!(admin(&runner, Method::PUT, &deployment).await.0, StatusCode::NOT_FOUND);
    assert_eq!(admin(&runner, Method::POST, &deployment).await.0, StatusCode::ACCEPTED);
    assert_eq!(status_and_text(runner.call("")).await.1, "one\n");

    let created = get(&runner, "/system/function/f").await["createdAt"].clone();
    deployment["envProcess"] = json!("echo two");
    assert_eq!(admin(&runner, Method::PUT, &deployment).await.0, StatusCode::OK);
    assert_eq!(status_and_text(runner.call("")).await.1, "two\n");

    let expected = json!({"name": "f", "image": "some/image", "namespace": "openfaas-fn", "envProcess": "echo two",
        "envVars": {}, "labels": {"dfaas.maxrate": "5", "dfaas.timeout_ms": "2500"}, "annotations": {"topic": "x"},
        "constraints": [], "secrets": [], "readOnlyRootFilesystem": false, "invocationCount": 2, "replicas": 1,
        "availableReplicas": 1, "createdAt": created});
    assert_eq!(get(&runner, "/system/function/f?namespace=openfaas-fn").await, expected);
    assert_eq!(get(&runner, "/system/functions").await, json!([expected]));
    let deployed = DeployedFunction {
        name: "f".parse().unwrap(),
        max_rate: Some(5),
        timeout: Some(std::time::Duration::from_millis(2500)),
        replicas: 1,
    };
    assert_eq!(runner.embedded.functions().await.unwrap(), [deployed]);

    let removal = json!({"functionName": "f"});
    assert_eq!(admin(&runner, Method::DELETE, &removal).await.0, StatusCode::OK);
    assert_eq!(admin(&runner, Method::DELETE, &removal).await.0, StatusCode::NOT_FOUND);
    assert_eq!(status_and_text(runner.call("")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(status_and_text(runner.admin.get(runner.url("/system/function/f"))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_deployment_leaves_the_old_one() {
    let runner = Runner::with(settings(), "echo old", json!({})).await;
    for (deployment, named) in [
        (json!({"service": "f", "envProcess": "no-such-program"}), "no-such-program"),
        (json!({"service": "f", "envProcess": "echo", "labels": {"dfaas.maxrate": "x"}}), "dfaas.maxrate"),
        (json!({"service": "f", "envProcess": "echo", "namespace": "other"}), "other"),
        (json!({"service": 7}), "JSON"),
        (json!("f"), "JSON"),
    ] {
        let (status, text) = admin(&runner, Method::POST, &deployment).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{deployment}");
        assert!(text.contains(named), "{text}");
    }
    let huge = json!({"service": "f", "envProcess": "echo", "image": "x".repeat(1 << 20)});
    assert_eq!(admin(&runner, Method::POST, &huge).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(admin(&runner, Method::DELETE, &json!({"functionName": "../f"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(status_and_text(runner.call("")).await.1, "old\n");
}

#[tokio::test]
async fn with_credentials_only_who_knows_them_administers() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret\n").unwrap();
    let password = Password::File(file.path().to_owned());
    let credentials = Credentials { user: "admin".to_owned(), password };
    let runner = Runner::start(RunnerSettings { credentials, ..settings() }).await;
    let list = || runner.client.get(runner.url("/system/functions"));
    let response = list().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    assert_eq!(status_and_text(list().basic_auth("admin", Some("wrong"))).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(status_and_text(list().basic_auth("admin", Some("secret"))).await.0, StatusCode::OK);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let deployment = json!({"service": "f", "envProcess": "env", "functionName": "f"});
        let change = runner.client.request(method, runner.url("/system/functions")).body(deployment.to_string());
        assert_eq!(status_and_text(change).await.0, StatusCode::UNAUTHORIZED);
    }
    for path in ["/system/info", "/system/function/f"] {
        assert_eq!(status_and_text(runner.client.get(runner.url(path))).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(status_and_text(runner.client.get(runner.url("/healthz"))).await.0, StatusCode::OK);
    std::fs::write(file.path(), "changed").unwrap();
    assert_eq!(status_and_text(list().basic_auth("admin", Some("changed"))).await.0, StatusCode::OK);
    // A file that was emptied lets nobody in, whoever sends nothing included.
    std::fs::write(file.path(), "\n").unwrap();
    assert_eq!(status_and_text(list().basic_auth("admin", Some(""))).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_web_page_cannot_deploy() {
    let runner = Runner::start(settings()).await;
    // A page of that origin, one whose name was made to point here, and a form or picture in a page.
    for (name, value) in
        [("origin", "http://evil.example"), ("host", "evil.example:8080"), ("sec-fetch-site", "cross-site")]
    {
        let request = runner.admin.post(runner.url("/system/functions")).header(name, value);
        let answer = status_and_text(request.body(json!({"service": "f", "envProcess": "env"}).to_string())).await;
        assert_eq!(answer.0, StatusCode::FORBIDDEN, "{name}: {}", answer.1);
        let list = runner.admin.get(runner.url("/system/functions")).header(name, value);
        assert_eq!(status_and_text(list).await.0, StatusCode::FORBIDDEN, "{name}");
    }
    assert_eq!(get(&runner, "/system/functions").await, json!([]));
}

#[tokio::test]
async fn a_restart_keeps_the_deployed_functions() {
    let folder = tempfile::tempdir().unwrap();
    let state_file = Some(folder.path().join("functions.json"));
    let settings = RunnerSettings { state_file, deploy_shipped: true, ..settings() };
    let runner = Runner::start(settings.clone()).await;
    runner.deploy("f", "echo kept", json!({})).await;
    assert_eq!(admin(&runner, Method::DELETE, &json!({"functionName": "ocr"})).await.0, StatusCode::OK);
    runner.embedded.stop().await;

    let rates = [("f".parse().unwrap(), 3)].into();
    let again = Runner::start(RunnerSettings { max_rates: rates, ..settings }).await;
    let functions = again.embedded.functions().await.unwrap();
    let rates: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.max_rate)).collect();
    assert_eq!(rates, [("env", Some(100)), ("f", Some(3)), ("figlet", Some(100)), ("shasum", Some(100))]);
    assert_eq!(status_and_text(again.call("")).await.1, "kept\n");
}

#[tokio::test]
async fn the_gateway_tells_about_itself() {
    let runner = Runner::start(settings()).await;
    let info = get(&runner, "/system/info").await;
    assert_eq!(info["provider"]["provider"], "dfaas-embedded");
    assert_eq!(info["version"]["release"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["arch"], std::env::consts::ARCH);
    for path in ["/", "/healthz"] {
        assert_eq!(status_and_text(runner.client.get(runner.url(path))).await.0, StatusCode::OK);
    }
    assert_eq!(get(&runner, "/system/functions?namespace=other").await, json!([]));
    assert_eq!(runner.embedded.gateway().to_string(), runner.embedded.address().to_string());
}
