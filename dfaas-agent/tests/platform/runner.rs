//! A runner on a free port, a client for it, and eyes on the machine's processes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use dfaas_agent::platform::{
    Credentials, Password,
    embedded::{CallCounts, Embedded, RunnerSettings},
};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

/// Far beyond what any step takes, so that only a real hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Runner {
    pub(crate) embedded: Arc<Embedded>,
    pub(crate) client: Client,
    /// One that knows the password of [`settings`].
    pub(crate) admin: Client,
    pub(crate) folder: TempDir,
}

pub(crate) fn settings() -> RunnerSettings {
    let credentials = Credentials { user: "admin".to_owned(), password: Password::Text("secret".to_owned()) };
    let address = "127.0.0.1:0".parse().unwrap();
    RunnerSettings { address, deploy_shipped: false, ..RunnerSettings::new(credentials) }
}

/// `admin:secret`.
const AUTHORISED: HeaderValue = HeaderValue::from_static("Basic YWRtaW46c2VjcmV0");

pub(crate) fn client() -> Client {
    client_with(HeaderMap::new())
}

fn client_with(headers: HeaderMap) -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).default_headers(headers).build().unwrap()
}

impl Runner {
    pub(crate) async fn start(settings: RunnerSettings) -> Self {
        let embedded = Arc::new(Embedded::start(settings).await.unwrap());
        let admin = client_with(HeaderMap::from_iter([(AUTHORIZATION, AUTHORISED)]));
        Self { embedded, client: client(), admin, folder: tempfile::tempdir().unwrap() }
    }

    /// With one function `f`.
    pub(crate) async fn with(settings: RunnerSettings, command: &str, vars: Value) -> Self {
        let runner = Self::start(settings).await;
        runner.deploy("f", command, vars).await;
        runner
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.embedded.address())
    }

    pub(crate) async fn deploy(&self, name: &str, command: &str, vars: Value) {
        let deployment = json!({"service": name, "image": "none", "envProcess": command, "envVars": vars});
        let response = self.admin.post(self.url("/system/functions")).json(&deployment).send().await.unwrap();
        let status = response.status();
        assert_eq!(status, StatusCode::ACCEPTED, "{}", response.text().await.unwrap());
    }

    /// A call of `f`.
    pub(crate) fn call(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url("/function/f")).body(body)
    }

    /// A call of `f` that goes on by itself.
    pub(crate) fn call_aside(&self) -> tokio::task::JoinHandle<Response> {
        let call = self.call("");
        tokio::spawn(async move { call.send().await.unwrap() })
    }

    pub(crate) fn counts(&self) -> CallCounts {
        self.embedded.calls()[&"f".parse().unwrap()]
    }

    /// A command that ends when [`Self::open_gate`] was called.
    pub(crate) fn waiting_command(&self) -> String {
        format!("sh -c 'until [ -e {} ]; do sleep 0.02; done; echo passed'", self.gate().display())
    }

    pub(crate) fn open_gate(&self) {
        std::fs::write(self.gate(), "").unwrap();
    }

    fn gate(&self) -> PathBuf {
        self.folder.path().join("gate")
    }
}

pub(crate) async fn status_and_text(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Processes (not zombies, which have no command line) with this word among their arguments.
pub(crate) fn processes_with(argument: &str) -> usize {
    let has_it = |folder: &Path| {
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| has_it(&entry.path())).count()
}

/// An argument for `sleep` that no other test and no other program uses.
pub(crate) fn unique_sleep(test: u32) -> String {
    format!("{}.{}", 70_000 + test, std::process::id())
}

/// Bytes that compress badly and repeat nowhere near.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    use rand::{RngCore, SeedableRng, rngs::StdRng};
    let mut noise = vec![0; bytes];
    StdRng::seed_from_u64(1).fill_bytes(&mut noise);
    noise
}
