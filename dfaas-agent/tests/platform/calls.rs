//! What a call hands to a process, and what comes back.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

use dfaas_agent::platform::embedded::{RunAs, RunnerSettings};
use futures::future::join_all;
use reqwest::{StatusCode, header::CONTENT_TYPE};
use serde_json::json;

use crate::runner::{Runner, noise, settings, status_and_text};

/// The same program outside the runner.
fn run_here(program: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// A grey-scale picture (PGM) of a text: figlet's banner font with each character as a block of pixels.
fn picture(text: &str) -> Vec<u8> {
    const MARGIN: usize = 10;
    const BLOCK: usize = 4;
    let banner = Command::new("figlet").args(["-w", "300", "-f", "banner", text]).output().unwrap().stdout;
    let lines: Vec<&[u8]> = banner.split(|byte| *byte == b'\n').collect();
    let columns = lines.iter().map(|line| line.len()).max().unwrap() + 2 * MARGIN;
    let rows = lines.len() + 2 * MARGIN;
    let mut picture = format!("P5 {} {} 255\n", columns * BLOCK, rows * BLOCK).into_bytes();
    for y in 0..rows * BLOCK {
        for x in 0..columns * BLOCK {
            let line = (y / BLOCK).checked_sub(MARGIN).and_then(|row| lines.get(row));
            let ink = line.and_then(|line| line.get((x / BLOCK).checked_sub(MARGIN)?));
            picture.push(if ink.is_some_and(|byte| *byte != b' ') { 0 } else { 255 });
        }
    }
    picture
}

fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

#[tokio::test]
async fn the_shipped_functions_answer() {
    let runner = Runner::start(RunnerSettings { deploy_shipped: true, ..settings() }).await;
    let post = |name: &str, body: Vec<u8>| runner.client.post(runner.url(&format!("/function/{name}"))).body(body);

    let (status, text) = status_and_text(post("figlet", b"DFaaS".to_vec())).await;
    assert_eq!((status, text.as_bytes()), (StatusCode::OK, run_here("figlet", b"DFaaS").as_slice()));
    assert!(text.lines().count() >= 5, "{text}");

    // The example of FIPS 180-4.
    let (_, text) = status_and_text(post("shasum", b"abc".to_vec())).await;
    assert!(text.starts_with("ddaf35a193617abacc417349ae204131"), "{text}");
    assert!(text.ends_with("  -\n"), "{text}");

    let (status, text) = status_and_text(post("ocr", picture("HELLO WORLD"))).await;
    assert_eq!((status, text.trim()), (StatusCode::OK, "HELLO WORLD"));

    let (status, text) = status_and_text(post("env", Vec::new())).await;
    assert_eq!((status, variables(&text)["Http_Method"]), (StatusCode::OK, "POST"));
}

#[tokio::test]
async fn the_environment_is_the_request_and_what_was_deployed_and_no_more() {
    let runner = Runner::with(settings(), "env", json!({"colour": "blue"})).await;
    let request = runner.client.patch(runner.url("/function/f/a%20b/c?x=1&y=%20"));
    let (_, text) =
        status_and_text(request.header("X-Served-By", "us").header("user-agent", "test").body("12345")).await;
    let expected = BTreeMap::from([
        ("Http_Accept", "*/*".to_owned()),
        ("Http_ContentLength", "5".to_owned()),
        ("Http_Content_Length", "5".to_owned()),
        ("Http_Host", runner.embedded.address().to_string()),
        ("Http_Method", "PATCH".to_owned()),
        ("Http_Path", "/a b/c".to_owned()),
        ("Http_Query", "x=1&y=%20".to_owned()),
        ("Http_User_Agent", "test".to_owned()),
        ("Http_X_Served_By", "us".to_owned()),
        ("PATH", settings().path),
        ("colour", "blue".to_owned()),
    ]);
    let expected = expected.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(variables(&text), expected);
}

#[tokio::test]
async fn every_path_below_the_name_reaches_the_function() {
    let runner = Runner::with(settings(), "env", json!({})).await;
    for (url, path) in [("/function/f", "/"), ("/function/f/", "/"), ("/function/f.openfaas-fn/x//", "/x//")] {
        let (_, text) = status_and_text(runner.client.get(runner.url(url))).await;
        assert_eq!(variables(&text)["Http_Path"], path, "{url}");
    }
    for url in ["/function/", "/function/g", "/function/f.other", "/function/%66"] {
        assert_eq!(status_and_text(runner.client.get(runner.url(url))).await.0, StatusCode::NOT_FOUND, "{url}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(status_and_text(runner.client.request(method, runner.url("/function/f"))).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn twenty_megabytes_go_both_ways_unchanged() {
    let runner = Runner::with(settings(), "cat", json!({})).await;
    runner.deploy("hash", "sha512sum", json!({})).await;
    let body = noise(20 << 20);
    let back = runner.call(body.clone()).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(back.len(), body.len());
    let (_, hash) = status_and_text(runner.client.post(runner.url("/function/hash")).body(back)).await;
    assert_eq!(hash.as_bytes(), run_here("sha512sum", &body));
}

#[tokio::test]
async fn a_function_that_writes_before_it_reads_does_not_block() {
    let command = "sh -c 'head -c 20000000 /dev/zero; cat'";
    let runner = Runner::with(settings(), command, json!({})).await;
    let back = runner.call(noise(10_000_000)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(back.len(), 30_000_000);
}

#[tokio::test]
async fn a_function_need_not_read_its_input() {
    let runner = Runner::with(settings(), "echo unread", json!({})).await;
    let answer = status_and_text(runner.call(noise(20 << 20))).await;
    assert_eq!(answer, (StatusCode::OK, "unread\n".to_owned()));
}

#[tokio::test]
async fn sixty_four_calls_at_once_get_their_own_answers() {
    let runner = Runner::with(settings(), "cat", json!({})).await;
    let bodies: Vec<String> = (0..64).map(|i| format!("call {i} ").repeat(10_000)).collect();
    let answers = join_all(bodies.iter().map(|body| status_and_text(runner.call(body.clone())))).await;
    for (body, (status, answer)) in bodies.iter().zip(answers) {
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(answer == *body);
    }
    assert_eq!(runner.counts().started, 64);
}

#[tokio::test]
async fn a_failed_process_is_a_500_with_what_it_complained_about() {
    let runner = Runner::with(settings(), "sh -c 'echo half; echo broken >&2; exit 3'", json!({})).await;
    let answer = status_and_text(runner.call("")).await;
    assert_eq!(answer, (StatusCode::INTERNAL_SERVER_ERROR, "exit status: 3\nbroken\n".to_owned()));
    runner.deploy("f", "sh -c 'echo on stdout; kill -9 $$'", json!({})).await;
    let answer = status_and_text(runner.call("")).await;
    assert_eq!(answer, (StatusCode::INTERNAL_SERVER_ERROR, "signal: 9 (SIGKILL)\non stdout\n".to_owned()));
    assert_eq!((runner.counts().started, runner.counts().failed), (2, 2));
}

#[tokio::test]
async fn warnings_of_a_process_do_not_mix_with_its_answer() {
    let runner = Runner::with(settings(), "sh -c 'head -c 1000000 /dev/zero >&2; echo fine'", json!({})).await;
    assert_eq!(status_and_text(runner.call("")).await, (StatusCode::OK, "fine\n".to_owned()));
}

#[tokio::test]
async fn the_content_type_is_the_functions_or_the_clients() {
    let runner = Runner::with(settings(), "cat", json!({})).await;
    let content_type = |request: reqwest::RequestBuilder| async {
        request.send().await.unwrap().headers()[CONTENT_TYPE].to_str().unwrap().to_owned()
    };
    assert_eq!(content_type(runner.call("text")).await, "text/plain; charset=utf-8");
    assert_eq!(content_type(runner.call(vec![0xff, 0])).await, "application/octet-stream");
    assert_eq!(content_type(runner.call("1").header(CONTENT_TYPE, "application/json")).await, "application/json");
    runner.deploy("f", "cat", json!({"content_type": "image/png"})).await;
    assert_eq!(content_type(runner.call("1").header(CONTENT_TYPE, "application/json")).await, "image/png");
}

#[tokio::test]
async fn a_function_runs_as_the_user_of_the_settings() {
    // Only root may become somebody else; whoever runs this may stay what he is.
    let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let (uid, gid) = if own.0 == 0 { (65534, 65533) } else { own };
    let settings = RunnerSettings { run_as: Some(RunAs { uid, gid }), ..settings() };
    let runner = Runner::with(settings, "sh -c 'id -u; id -g; id -G'", json!({})).await;
    let (_, text) = status_and_text(runner.call("")).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], [uid.to_string(), gid.to_string()]);
    assert!(own.0 != 0 || lines[2] == gid.to_string(), "root's other groups stay: {text}");
}
