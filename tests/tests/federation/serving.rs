//! What clients get.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use dfaas_agent::kernel::mode::Mode;
use dfaas_tests::{
    client::Call,
    scenario::{self, Pace, Scenario},
};

use crate::Bed;

/// What a program of this machine prints for an input.
fn output(program: &str, input: &[u8]) -> String {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn files_named(directory: &str, start: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with(start)).collect()
}

/// Runs `cloudnet`. On a busy machine agents may be late for seconds, and the shares off: it is then tried again.
fn assert_shared_as_agreed(bed: &Bed) {
    let cloudnet = Scenario::find("cloudnet").unwrap();
    let pace = Pace { seconds: Some(12), ..Pace::default() };
    for attempt in 1..=3 {
        let report = scenario::run(bed, cloudnet, pace, &mut |_| Ok(true)).unwrap();
        if report.is_ok() {
            return;
        }
        eprintln!("attempt {attempt}: {:#?}\n{}\n{}", report.deviations(), report.table(), report.json()["expected"]);
    }
    panic!("never shared as agreed: {}", serde_json::to_string(&bed.statuses().unwrap()).unwrap());
}

#[test]
fn three_nodes_answer_and_share_a_load_as_they_agreed() {
    let bed = Bed::new(|_| {});
    for (name, status) in bed.statuses().unwrap() {
        assert_eq!(status.kernel.mode, Mode::Handoff, "{name}");
    }
    let figlet = output("figlet", b"hello");
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n * 31 % 251) as u8).collect();
    let hash = output("sha512sum", &body);
    for i in 0..3 {
        let (answer, server) = bed.served(&Call::post(bed.url(i, "/function/figlet"), "hello"));
        assert_eq!((answer.text(), &server), (figlet.clone(), &bed.nodes[i].name));
        let (answer, server) = bed.served(&Call::post(bed.url(i, "/function/shasum"), body.clone()));
        assert_eq!((answer.text(), &server), (hash.clone(), &bed.nodes[i].name));
    }
    assert_shared_as_agreed(&bed);
    let prefix = format!("{}-", bed.prefix());
    assert_eq!(files_named("/run/netns", &prefix).len(), 5, "three nodes, a client and a switch");
    bed.stop();
    for directory in ["/run/netns", "/sys/fs/bpf/dfaas", "/sys/fs/bpf", "/run/dfaas-nodes"] {
        assert_eq!(files_named(directory, &prefix), Vec::<String>::new(), "in {directory}");
    }
}

#[test]
fn a_function_sees_the_clients_address_wherever_it_runs() {
    // Calls of `env` at n1 have to be forwarded, those at n2 and n3 need not.
    let bed = Bed::new(|options| {
        options.rate_limits_of.insert("env".to_owned(), vec![0, 20, 30]);
    });
    let expected = format!("Http_X_Forwarded_For={}", bed.client_address());
    for (i, servers) in [(0, &["n2", "n3"][..]), (1, &["n2"]), (2, &["n3"])] {
        for call in [Call::get(bed.url(i, "/function/env")), Call::post(bed.url(i, "/function/env"), "text")] {
            let (answer, server) = bed.served(&call);
            assert!(servers.contains(&server.as_str()), "{} was served by {server}", call.url);
            let text = answer.text();
            let found: Vec<&str> = text.lines().filter(|line| line.starts_with("Http_X_Forwarded_For")).collect();
            assert_eq!(found, [&expected], "{} served by {server}", call.url);
        }
    }
    bed.stop();
}
