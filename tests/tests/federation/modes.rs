//! The same calls in all modes.

use dfaas_agent::kernel::mode::Mode;
use dfaas_tests::client::{Call, NODE_HEADER};

use crate::Bed;

/// What a client can tell of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    call: String,
    status: u16,
    /// Name of the node that served it.
    server: Option<String>,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// Two nodes; `shasum` has to be forwarded by n1, `env` is refused by both.
fn answers(mode: Mode) -> Vec<Seen> {
    let bed = Bed::new(|options| {
        options.nodes = 2;
        options.mode = mode;
        options.rate_limits = vec![50];
        options.rate_limits_of.insert("shasum".to_owned(), vec![0, 50]);
        options.rate_limits_of.insert("env".to_owned(), vec![0]);
    });
    let call = |path: &str| Call::get(bed.url(0, path));
    let post = |path: &str| Call::post(bed.url(0, path), "some text");
    let calls = [
        call("/"),
        call("/healthz"),
        post("/function/figlet"),
        call("/function/figlet"),
        post("/function/figlet/below?a=b"),
        post("/function/shasum"),
        call("/function/shasum"),
        Call::post(bed.url(0, "/function/shasum"), vec![b'x'; 200_000]),
        post("/function/env"),
        call("/function/env"),
        call("/function/unknown"),
        call("/function/fig"),
        call("/function/"),
        call("/system/functions"),
        post("/function/figlet").header(NODE_HEADER, bed.nodes[1].id.as_str()),
        post("/function/shasum").header(NODE_HEADER, bed.nodes[1].id.as_str()),
    ];
    let seen = calls
        .iter()
        .enumerate()
        .map(|(n, call)| {
            let answer = bed.call(call);
            let server = bed.server(&answer).map(str::to_owned);
            let headers = ["content-type", "retry-after", "x-server"].map(|name| (name, answer.header(name)));
            let path = call.url.splitn(4, '/').last().unwrap_or_default();
            let call = format!("{n}: {} {path}", call.method);
            Seen { call, status: answer.status, server, headers: headers.to_vec(), body: answer.text() }
        })
        .collect();
    bed.stop();
    seen
}

#[test]
fn all_modes_give_the_same_answers() {
    let handoff = answers(Mode::Handoff);
    let statuses: Vec<u16> = handoff.iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 429, 429, 404, 404, 404, 403, 403, 403]);
    let servers: Vec<&str> = handoff[2..8].iter().map(|seen| seen.server.as_deref().unwrap_or("nobody")).collect();
    assert_eq!(servers, ["n1", "n1", "n1", "n2", "n2", "n2"]);
    for mode in [Mode::Observe, Mode::Off] {
        for (there, here) in answers(mode).iter().zip(&handoff) {
            assert_eq!(there, here, "mode {mode} and handoff differ");
        }
    }
}

/// Under systemd it would be started again and again, and leave half a node each time.
#[test]
fn an_agent_that_cannot_have_its_port_touches_neither_kernel_nor_haproxy() {
    let mut bed = Bed::new(|options| options.nodes = 1);
    bed.stop_agent(0).unwrap();
    let taken = bed.host(0).namespace.enter(|| std::net::TcpListener::bind("127.0.0.1:8090")).unwrap().unwrap();
    bed.start_agent(0).unwrap();
    let error = format!("{:#}", bed.wait_ready(0).unwrap_err());
    assert!(error.contains("AGENT_HTTP_ADDRESS=127.0.0.1:8090: cannot listen there"), "{error}");
    let pins = std::fs::read_dir(&bed.nodes[0].pin_dir).map_or(0, Iterator::count);
    assert_eq!((pins, bed.haproxy_pid(0).ok()), (0, None), "pins and HAProxy");
    drop(taken);
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.stop();
}
