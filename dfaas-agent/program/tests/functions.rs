//! Functions of the embedded platform as the program confines them: seen from inside, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use dfaas_agent::platform::{
    Credentials, Password, Platform as _,
    embedded::{Confine, Embedded, RunnerSettings},
};
use serde_json::{Value, json};

struct Bed {
    gateway: Embedded,
    client: reqwest::Client,
}

fn program() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_dfaas-agent").expect("cargo sets it").into()
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

impl Bed {
    async fn new(init: Option<PathBuf>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let credentials = Credentials { user: "admin".to_owned(), password: Password::Text("secret".to_owned()) };
        let group = format!("dfaas-functions-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let confine = init.map(|init| Confine { init, own_users: true, group, folders: Vec::new() });
        let address = "127.0.0.1:0".parse().unwrap();
        let settings = RunnerSettings { address, deploy_shipped: false, confine, ..RunnerSettings::new(credentials) };
        Self { gateway: Embedded::start(settings).await.unwrap(), client: reqwest::Client::new() }
    }

    async fn confined() -> Self {
        Self::new(Some(program())).await
    }

    async fn deploy(&self, name: &str, command: &str, more: Value) {
        let mut deployment = json!({"service": name, "image": "none", "envProcess": command});
        deployment.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let request = self.client.post(format!("http://{}/system/functions", self.gateway.address()));
        let answer = request.basic_auth("admin", Some("secret")).json(&deployment).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn call(&self, name: &str, body: &str) -> (u16, String) {
        let url = format!("http://{}/function/{name}", self.gateway.address());
        let answer = self.client.post(url).header("X-Colour", "blue").body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What a shell says to this.
    async fn shell(&self, script: &str) -> String {
        self.deploy("shell", &format!("sh -c '{script}'"), json!({})).await;
        self.call("shell", "").await.1
    }
}

#[tokio::test]
async fn input_environment_and_status_go_through_the_process_in_between() {
    let bed = Bed::confined().await;
    bed.deploy("f", "sh -c 'cat; env'", json!({"envVars": {"own": "a=b", "LD_PRELOAD": "/no/such.so"}})).await;
    let (status, text) = bed.call("f", "input\n").await;
    assert_eq!(status, 200, "{text}");
    for line in ["input", "own=a=b", "Http_X_Colour=blue", "Http_Method=POST", "LD_PRELOAD=/no/such.so"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // Those of this process, which has some, stay with it.
    let names = std::env::vars().map(|(name, _)| name).filter(|name| !matches!(name.as_str(), "PATH" | "PWD" | "_"));
    let names: Vec<_> = names.map(|name| format!("{name}=")).collect();
    assert!(!names.is_empty());
    assert!(text.lines().all(|line| !names.iter().any(|name| line.starts_with(name.as_str()))), "{text}");
    assert_eq!(bed.shell("exit 3").await, "exit status: 3\n");
}

#[tokio::test]
async fn a_function_has_no_rights_and_reads_no_file_of_the_node() {
    let bed = Bed::confined().await;
    let text = bed.shell("cat /proc/self/status; id -u").await;
    let status = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(status(set).trim_start_matches('0'), "", "{text}");
    }
    assert_eq!((status("NoNewPrivs:"), status("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    assert!(!is_root() || text.lines().last().unwrap().parse::<u32>().unwrap() >= 0x7dfa_0000, "{text}");

    let lacks_landlock = bed.gateway.lacking().iter().any(|lacking| lacking.contains("Landlock"));
    // Cargo's folder for tests.
    let place = program().parent().unwrap().with_file_name("tmp");
    fs::create_dir_all(&place).unwrap();
    let folder = tempfile::tempdir_in(place).unwrap();
    fs::write(folder.path().join("privatekey.pem"), "of the node").unwrap();
    let read = bed.shell(&format!("cat {}/*.pem", folder.path().display())).await;
    assert!(lacks_landlock || !read.contains("of the node"), "{read}");
}

#[tokio::test]
async fn two_calls_at_a_time_have_two_users() {
    if !is_root() {
        eprintln!("not run: needs root");
        return;
    }
    let bed = Bed::confined().await;
    bed.deploy("f", "sh -c 'id -u; sleep 0.5'", json!({})).await;
    let ((_, one), (_, other)) = tokio::join!(bed.call("f", ""), bed.call("f", ""));
    assert_ne!(one, other);
    assert!(one.trim().parse::<u32>().is_ok() && other.trim().parse::<u32>().is_ok(), "{one} {other}");
}

#[tokio::test]
async fn who_leaves_the_session_ends_with_the_call() {
    let bed = Bed::confined().await;
    if let Some(why) = bed.gateway.lacking().iter().find(|lacking| lacking.contains("control group")) {
        eprintln!("not run: {why}");
        return;
    }
    let nap = format!("{}.{}", 80_000, std::process::id());
    let text = bed.shell(&format!("setsid setsid sleep {nap} > /dev/null 2>&1 & until pgrep -f \"^sleep {nap}\" > /dev/null; do :; done; echo left")).await;
    assert_eq!(text, "left\n");
    let start = Instant::now();
    while runs(&nap) {
        assert!(start.elapsed() < Duration::from_mins(1), "it outlives its call");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process has this argument.
fn runs(argument: &str) -> bool {
    let has_it = |folder: &Path| {
        let line = fs::read(folder.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    fs::read_dir("/proc").unwrap().flatten().any(|entry| has_it(&entry.path()))
}

#[tokio::test]
async fn a_function_that_takes_too_much_memory_fails_and_the_node_does_not() {
    let bed = Bed::confined().await;
    let takes = "sh -c 'head -c 300000000 /dev/zero | tail -c 299999999 | wc -c'";
    bed.deploy("small", takes, json!({"limits": {"memory": "100Mi"}})).await;
    bed.deploy("large", takes, json!({"limits": {"memory": "900Mi"}})).await;
    assert!(!bed.call("small", "").await.1.contains("299999999"));
    assert_eq!(bed.call("large", "").await, (200, "299999999\n".to_owned()));
}

#[tokio::test]
async fn a_program_that_does_not_start_is_a_500_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("lost");
    fs::write(&program, "#!/no/such/interpreter").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bed = Bed::confined().await;
    bed.deploy("f", program.to_str().unwrap(), json!({})).await;
    let (status, text) = bed.call("f", "").await;
    assert!(status == 500 && text.contains("/lost") && text.contains("did not start"), "{status} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_finds_the_password_and_deploys_lists_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway-password"), "found\n").unwrap();
    let password = Password::File(folder.path().join("gateway-password"));
    let credentials = Credentials { user: "admin".to_owned(), password };
    let address = "127.0.0.1:0".parse().unwrap();
    let settings = RunnerSettings { address, deploy_shipped: false, ..RunnerSettings::new(credentials) };
    let gateway = Embedded::start(settings).await.unwrap();
    let address = gateway.address().to_string();
    let function = |state: &Path, arguments: &[&str]| {
        let mut command = std::process::Command::new(program());
        command.args(["function", "--platform", "embedded", "--embedded-address", &address, "--state-dir"]).arg(state);
        let output = command.args(arguments).env_remove("RUST_LOG").output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
    };
    let own = folder.path();
    let deployed = function(own, &["deploy", "f", "--command", "echo one", "--max-rate", "7"]);
    assert_eq!(deployed, (true, "function f deployed\n".to_owned()));
    assert!(function(own, &["deploy", "f", "--command", "echo two"]).0);
    let (well, list) = function(own, &["list"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert!(well && list[0]["name"] == "f" && list[0]["envProcess"] == "echo two", "{list}");
    assert_eq!(function(own, &["remove", "f"]), (true, "function f removed\n".to_owned()));
    let (well, text) = function(own, &["remove", "f"]);
    assert!(!well && text.contains("404"), "{text}");

    let elsewhere = tempfile::tempdir().unwrap();
    let (well, text) = function(elsewhere.path(), &["list"]);
    assert!(!well && text.contains("gateway-password"), "{text}");
}

/// Tells what the process in between costs (`DFAAS_CALLS=400`, `--nocapture`).
#[tokio::test]
async fn calls_are_served_alike_with_and_without_the_process_in_between() {
    let calls = std::env::var("DFAAS_CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(20);
    for (name, bed) in [("direct", Bed::new(None).await), ("confined", Bed::confined().await)] {
        bed.deploy("f", "true", json!({})).await;
        let mut times = Vec::new();
        for _ in 0..calls {
            let start = Instant::now();
            assert_eq!(bed.call("f", "").await.0, 200);
            times.push(start.elapsed());
        }
        times.sort();
        let cpu = bed.gateway.cpu_times()[&"f".parse().unwrap()] / calls;
        eprintln!(
            "{name}: median {:?}, 90 % {:?}, processor {cpu:?}; without {:?}",
            times[times.len() / 2],
            times[times.len() * 9 / 10],
            bed.gateway.lacking()
        );
    }
}
