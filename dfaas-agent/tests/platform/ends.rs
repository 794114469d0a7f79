//! However a call ends, nothing of it stays behind.

use std::time::Duration;

use dfaas_agent::platform::{Platform, embedded::RunnerSettings};
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::timeout;

use crate::runner::{PATIENCE, Runner, processes_with, settings, status_and_text, unique_sleep, until};

/// A process with a child, both recognisable.
fn sleeping_pair(duration: &str) -> String {
    format!("sh -c 'sleep {duration} & sleep {duration}; true'")
}

#[tokio::test]
async fn a_call_over_its_time_is_504_and_its_processes_are_gone() {
    let sleep = unique_sleep(1);
    let runner = Runner::with(settings(), &sleeping_pair(&sleep), json!({"exec_timeout": "2s"})).await;
    let call = runner.call_aside();
    until("both processes run", || processes_with(&sleep) == 2).await;
    assert_eq!(call.await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    until("no process stays", || processes_with(&sleep) == 0).await;
    assert_eq!((runner.counts().started, runner.counts().timed_out, runner.counts().failed), (1, 1, 0));
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_processes_with_it() {
    let sleep = unique_sleep(2);
    let runner = Runner::with(settings(), &sleeping_pair(&sleep), json!({"max_inflight": "1"})).await;
    let call = runner.call_aside();
    until("both processes run", || processes_with(&sleep) == 2).await;
    call.abort();
    until("no process stays", || processes_with(&sleep) == 0).await;
    runner.deploy("g", "echo g", json!({})).await;
    // The slot is free again: the next call is accepted, not refused.
    let next = runner.call_aside();
    until("the next call runs", || processes_with(&sleep) == 2).await;
    next.abort();
    until("no process stays", || processes_with(&sleep) == 0).await;
    assert_eq!(runner.counts().refused, 0);
}

#[tokio::test]
async fn what_a_process_leaves_running_ends_with_the_call() {
    let sleep = unique_sleep(3);
    let runner = Runner::with(settings(), &format!("sh -c 'sleep {sleep} & echo done'"), json!({})).await;
    assert_eq!(status_and_text(runner.call("")).await, (StatusCode::OK, "done\n".to_owned()));
    until("no process stays", || processes_with(&sleep) == 0).await;
}

#[tokio::test]
async fn an_output_without_end_is_cut_off_with_its_process() {
    let settings = RunnerSettings { max_response_bytes: 1 << 20, ..settings() };
    let word = unique_sleep(4);
    let runner = Runner::with(settings, &format!("yes {word}"), json!({})).await;
    assert_eq!(status_and_text(runner.call("")).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    until("no process stays", || processes_with(&word) == 0).await;
}

#[tokio::test]
async fn processes_that_ended_leave_no_zombies() {
    let runner = Runner::with(settings(), "true", json!({})).await;
    for _ in 0..20 {
        assert_eq!(status_and_text(runner.call("")).await.0, StatusCode::OK);
    }
    until("no zombie of ours", || zombies_here() == 0).await;
}

fn zombies_here() -> usize {
    let own = std::process::id().to_string();
    let is_own_zombie = |stat: String| {
        // Behind the name in brackets: state, parent.
        let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        rest.starts_with(&["Z", &own])
    };
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    stats
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|s| is_own_zombie(s.clone()))
        .count()
}

#[tokio::test]
async fn a_stop_lets_calls_finish_and_takes_no_new_ones() {
    let runner = Runner::start(RunnerSettings { grace: PATIENCE, ..settings() }).await;
    runner.deploy("f", &runner.waiting_command(), json!({})).await;
    let call = runner.call_aside();
    until("the call runs", || runner.counts().started == 1).await;
    assert!(runner.embedded.health().await.is_ok());
    let embedded = runner.embedded.clone();
    let stop = tokio::spawn(async move { embedded.stop().await });
    let refused = || std::net::TcpStream::connect(runner.embedded.address()).is_err();
    until("new connections are refused", refused).await;
    assert!(!stop.is_finished());
    runner.open_gate();
    assert_eq!(call.await.unwrap().text().await.unwrap(), "passed\n");
    timeout(PATIENCE, stop).await.unwrap().unwrap();
    assert!(runner.embedded.health().await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let sleep = unique_sleep(5);
    let settings = RunnerSettings { grace: Duration::from_millis(200), ..settings() };
    let runner = Runner::with(settings, &sleeping_pair(&sleep), json!({})).await;
    let call = runner.call("");
    let call = tokio::spawn(async move { call.send().await });
    until("both processes run", || processes_with(&sleep) == 2).await;
    timeout(PATIENCE, runner.embedded.stop()).await.unwrap();
    until("no process stays", || processes_with(&sleep) == 0).await;
    assert!(call.await.unwrap().is_err(), "a cut call is no answer");
}

#[tokio::test]
async fn the_processor_time_of_calls_counts_for_their_function_also_of_killed_ones() {
    let spin = "sh -c 'while :; do :; done'";
    let runner = Runner::with(settings(), spin, json!({"exec_timeout": "1s"})).await;
    assert_eq!(runner.call("").send().await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    let used = runner.embedded.cpu_times()[&"f".parse().unwrap()];
    assert!(used > Duration::from_millis(50), "a second of turning used {used:?}");
    assert_eq!(runner.counts().cpu, used);
}
