//! The commands for one load: files, exit codes, texts.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::server;

/// Runs `dfaas-agent load ARGS` with something on its standard input.
pub(crate) fn load(args: &[&str], input: &str, environment: &[(&str, &str)]) -> Output {
    let mut child = Command::new(std::env::var_os("CARGO_BIN_EXE_dfaas-agent").expect("cargo sets it"))
        .arg("load")
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn ended(output: &Output, code: i32) -> (String, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_writes_all_its_files_and_an_earlier_one_is_not_overwritten() {
    let (address, _) = server::node("127.0.0.1");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let (url, dir) = (format!("http://{address}/fast"), out.to_str().unwrap());
    let args = ["run", "--target", &url, "--rate", "50", "--duration", "1s", "--poisson", "--seed", "3", "--out", dir];
    let (text, _) = ended(&load(&args, "", &[]), 0);
    assert!(text.starts_with("Requests ") && text.contains("Success       [ratio]"), "{text}");

    let summary = json(&out.join("summary.json"));
    for part in [&summary["merged"], &summary["attacks"]["attack"]] {
        let keys = ["planned", "sent", "completed", "success_rate", "latency_ms", "by_status", "by_node"];
        assert!(keys.iter().all(|key| !part[key].is_null()), "{part}");
        let latencies = ["mean", "p50", "p90", "p95", "p99", "max"];
        assert!(latencies.iter().all(|key| part["latency_ms"][key].is_f64()), "{part}");
        assert_eq!(part["by_node"]["n1"], part["planned"]);
    }
    let planned = summary["merged"]["planned"].as_u64().unwrap() as usize;
    let lines = |name: &str| fs::read_to_string(out.join(name)).unwrap().lines().count();
    assert_eq!((lines("requests.csv"), lines("results.json")), (planned + 1, planned));
    assert_eq!(fs::read_to_string(out.join("report.txt")).unwrap(), text);
    for name in ["answers_by_status", "answers_by_node", "latency_over_time", "latency_density"] {
        assert!(["svg", "png"].iter().all(|kind| out.join(format!("plots/{name}.{kind}")).is_file()), "{name}");
    }

    let (_, error) = ended(&load(&args, "", &[]), 2);
    assert!(error.contains(dir) && error.contains("--force"), "{error}");
    ended(&load(&[&args[..], &["--force"]].concat(), "", &[]), 0);
}

#[test]
fn a_missed_threshold_is_named_and_gives_exit_code_1() {
    let (address, _) = server::node("127.0.0.1");
    let url = format!("http://{address}/fail");
    let args = ["run", "--target", &url, "--rate", "20", "--duration", "250ms", "--json", "--threshold", "max <= 1h"];
    let (out, _) = ended(&load(&args, "", &[]), 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["merged"]["by_status"]["500"], 5);
    let (_, error) = ended(&load(&[&args[..], &["--threshold", "success >= 0.99"]].concat(), "", &[]), 1);
    assert_eq!(error.trim(), "success >= 0.99 missed: it is 0");
}

#[test]
fn bad_arguments_are_named_and_give_exit_code_2() {
    for (args, part) in [
        (["--target", "https://a/", "--rate", "1", "--duration", "1s"], "https://a/"),
        (["--target", "http://a/", "--rate", "fast", "--duration", "1s"], "\"fast\" is not a rate"),
        (["--target", "http://a/", "--rate", "1", "--duration", "soon"], "\"soon\" is not a duration"),
    ] {
        let (_, error) = ended(&load(&[&["run"], &args[..]].concat(), "", &[]), 2);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_node_that_is_not_well_is_asked_as_often_as_wanted() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/fast");
    let args =
        ["run", "--target", &url, "--rate", "1", "--duration", "1s", "--wait-tries", "2", "--wait-apart", "10ms"];
    let (_, error) = ended(&load(&args, "", &[]), 1);
    assert!(error.contains(&format!("http://{free}/healthz is not well after 2 tries")), "{error}");
}

#[test]
fn targets_and_results_are_those_of_vegeta() {
    let (address, seen) = server::node("127.0.0.1");
    let target = |path: &str, method: &str| {
        format!(r#"{{"method":"{method}","url":"http://{address}/{path}","body":"SGk=","header":{{"X-Test":["1"]}}}}"#)
    };
    let targets = [target("fast", "POST"), target("fail", "GET")].join("\n");
    let (out, _) =
        ended(&load(&["attack", "-format=json", "-rate=40/s", "-duration", "500ms", "-name=x"], &targets, &[]), 0);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20);
    // In turn.
    assert_eq!(
        lines.iter().filter(|line| line["code"] == 500 && line["error"] == "500 Internal Server Error").count(),
        10
    );
    assert!(lines.iter().all(|line| line["attack"] == "x" && line["latency"].is_u64() && line["bytes_out"] == 2));
    let seen = seen.headers.lock().unwrap();
    assert!(seen.len() == 10 && seen.iter().all(|headers| headers["x-test"] == "1"));

    let (report, _) = ended(&load(&["report", "-"], &out, &[]), 0);
    assert!(report.contains("Status Codes  [code:count]                      200:10  500:10"), "{report}");
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = ended(&load(&["plot", "-", folder.path().to_str().unwrap()], &out, &[]), 0);
    assert!(files.lines().count() == 8 && files.lines().all(|file| Path::new(file).is_file()), "{files}");
}

#[test]
fn results_that_are_none_are_named_with_their_line() {
    let (_, error) = ended(&load(&["report", "-"], "{\"code\": 200}\n", &[]), 2);
    assert!(error.contains("line 1") && error.contains("timestamp"), "{error}");
}
