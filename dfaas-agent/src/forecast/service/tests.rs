use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::forecast::{
    folder::hexadecimal,
    models::tests::{stump, write_models},
};

const LOAD: &str = r#"{"node_type":1,"rate_group_HIGH_USAGE":60,"rate_group_MEDIUM_USAGE":0,"rate_group_LOW_USAGE":0}"#;

struct Server {
    folder: TempDir,
    address: String,
}

async fn server(runtime: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    write_manifest(folder.path(), "v1");
    fs::write(folder.path().join("runtime.json"), runtime).unwrap();
    let service = Arc::new(Service::new(folder.path(), None).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = router(service);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server { folder, address }
}

fn write_manifest(folder: &Path, version: &str) {
    let names = fs::read_dir(folder.join("models"))
        .unwrap()
        .map(|entry| format!("models/{}", entry.unwrap().file_name().into_string().unwrap()));
    let hash = |name: &str| -> String { hexadecimal(&Sha256::digest(fs::read(folder.join(name)).unwrap())) };
    let hashes: serde_json::Map<_, _> =
        names.chain(["scalers.json".to_owned()]).map(|name| (name.clone(), hash(&name).into())).collect();
    let manifest = json!({ "model_version": version, "models_type": "regression", "sha256": hashes });
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
}

impl Server {
    async fn ask(&self, method: &str, path: &str, body: &str, token: &str) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("{}{path}", self.address)).header("x-reload-token", token);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    async fn cpu(&self) -> f64 {
        self.ask("POST", "/cpu_usage_node", LOAD, "").await.1[0]["cpu_usage_node"].as_f64().unwrap()
    }
}

#[tokio::test]
async fn forecasts_are_given_on_get_with_a_body_and_on_post() {
    let server = server("{}").await;
    for method in ["GET", "POST"] {
        let usage = json!([{ "cpu_usage_node": 60.0, "ram_usage_node": 0.0, "power_usage_node": 0.0 }]);
        assert_eq!(server.ask(method, "/node_usage", LOAD, "").await, (200, usage));
        let cpu = json!([{ "cpu_usage_node": 60.0 }]);
        assert_eq!(server.ask(method, "/cpu_usage_node", LOAD, "").await, (200, cpu));
    }
    assert_eq!(server.ask("GET", "/", "", "").await, (200, json!("DFaaS Forecaster ready.")));
    assert_eq!(server.ask("GET", "/ready", "", "").await, (200, json!({ "ready": true })));
}

#[tokio::test]
async fn a_wrong_key_is_named() {
    let server = server("{}").await;
    let (status, answer) = server.ask("GET", "/node_usage", &LOAD.replace("LOW", "low"), "").await;
    assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "rate_group_low_USAGE"])));
    let (status, answer) = server.ask("POST", "/node_usage", "{\"node_type\":1}", "").await;
    assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "rate_group_HIGH_USAGE"])));
    assert_eq!(server.ask("POST", "/node_usage", "", "").await.0, 422);
    assert_eq!(server.ask("POST", "/node_usage", &" ".repeat(20_000), "").await.0, 413);
}

#[tokio::test]
async fn models_are_replaced_whole_and_only_by_those_of_the_manifest() {
    let server = server(r#"{"reload_mode":"endpoint","reload_token":"secret"}"#).await;
    assert_eq!(server.ask("POST", "/reload", "", "wrong").await.0, 403);
    let file = server.folder.path().join("models/cpu_usage_node.regression.lgb.txt");
    fs::write(&file, stump("regression", 0, 0.0, 2.0)).unwrap();
    let (status, answer) = server.ask("POST", "/reload", "", "secret").await;
    assert_eq!(status, 500);
    assert!(answer.to_string().contains("cpu_usage_node.regression.lgb.txt: has SHA-256"), "{answer}");
    assert_eq!(server.cpu().await, 60.0);
    let health = server.ask("GET", "/health", "", "").await.1;
    assert_eq!((&health["status"], &health["model_version"]), (&json!("degraded"), &json!("v1")));
    write_manifest(server.folder.path(), "v2");
    let health = server.ask("POST", "/reload", "", "secret").await.1;
    let expected = json!({
        "status": "ok", "ready": true, "models_loaded": 3, "models_expected": 3, "model_version": "v2",
        "models_type": "regression", "manifest_ok": true, "last_error": null,
    });
    assert_eq!(health, expected);
    assert_eq!(server.cpu().await, 210.0);
}

#[tokio::test]
async fn reload_is_not_there_unless_it_is_asked_for() {
    assert_eq!(server("{}").await.ask("POST", "/reload", "", "").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_is_noticed_by_polling() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    write_manifest(folder.path(), "v1");
    fs::write(folder.path().join("runtime.json"), r#"{"reload_mode":"poll","reload_interval_seconds":7}"#).unwrap();
    let service = Arc::new(Service::new(folder.path(), None).unwrap());
    let watch = tokio::spawn(service.clone().watch());
    // The first look at the manifest must come before the change.
    tokio::time::sleep(Duration::from_secs(1)).await;
    write_manifest(folder.path(), "v2");
    while service.current().version.as_deref() != Some("v2") {
        assert!(!watch.is_finished());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    watch.abort();
}

#[test]
fn the_family_of_the_command_wins_over_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    fs::write(folder.path().join("runtime.json"), r#"{"models_type":"quantile005"}"#).unwrap();
    let family = |given| Service::new(folder.path(), given).unwrap().current().family;
    assert_eq!(family(None), Family::Quantile005);
    assert_eq!(family(Some(Family::Quantile095)), Family::Quantile095);
}
