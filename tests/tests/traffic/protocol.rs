//! What clients do with a connection, and what strangers send: it is served or refused, and nobody waits in vain.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_tests::client::Piece;

use crate::bed::{Bed, Reply};

/// HAProxy waits 10 s for a whole request.
const BOUND: Duration = Duration::from_secs(20);

/// A run of curl: by line, what `-w` says of each transfer.
fn curl(bed: &Bed, config: &str) -> Result<Vec<String>> {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "30", "-K", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = bed.client.enter(|| command.spawn())?.context("cannot start curl")?;
    child.stdin.take().context("no stdin")?.write_all(config.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "curl: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Calls one behind the other with one curl: statuses, nodes and new connections of each.
fn calls_in_a_row(bed: &Bed, functions: &[&str]) -> Result<Vec<(u16, usize, u32)>> {
    let transfer = |function: &&str| {
        let url = bed.url(function);
        let out = r"%{http_code} %{num_connects} %header{dfaas-node-id}\n";
        format!("url = \"{url}\"\noutput = /dev/null\ndata = \"hello\"\nwrite-out = \"{out}\"\nnext\n")
    };
    let config: String = functions.iter().map(transfer).collect();
    let lines = curl(bed, config.trim_end_matches("next\n"))?;
    let parse = |line: &String| {
        let mut words = line.split(' ');
        let mut word = || words.next().with_context(|| format!("curl said {line:?}"));
        let (status, connects, id) = (word()?.parse()?, word()?.parse()?, word()?.parse()?);
        let node = bed.federation.index_of(&id).with_context(|| format!("unknown node in {line:?}"))?;
        Ok((status, node, connects))
    };
    lines.iter().map(parse).collect()
}

fn exchange(bed: &Bed, what: &str, bytes: &[u8]) -> Result<Reply> {
    let begun = Instant::now();
    let reply = bed.exchange(&[Piece::Send(bytes.to_vec())]).with_context(|| what.to_owned())?;
    let took = begun.elapsed();
    ensure!(took < BOUND, "{what}: ended after {took:?} with {:?}", reply.text());
    Ok(reply)
}

#[test]
fn connections_are_kept_where_they_may_be_and_every_call_on_them_is_served() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let near = calls_in_a_row(&bed, &["near"; 50]).unwrap();
    assert!(near.iter().all(|(status, node, _)| (*status, *node) == (200, 0)), "{near:?}");
    // A reload of HAProxy, which the deployments may still cause, closes a connection after an answer.
    assert!(near.iter().map(|(_, _, connects)| connects).sum::<u32>() <= 3, "{near:?}");
    // A connection is handed off for one call only.
    let far = calls_in_a_row(&bed, &["far"; 20]).unwrap();
    assert!(far.iter().all(|call| *call == (200, 1, 1)), "{far:?}");
    let mixed: Vec<_> = ["near", "far"].into_iter().cycle().take(20).collect();
    let mixed = calls_in_a_row(&bed, &mixed).unwrap();
    for (i, (status, node, _)) in mixed.iter().enumerate() {
        assert_eq!((*status, *node), (200, i % 2), "call {i} of {mixed:?}");
    }
    bed.wait_without_flows().unwrap();
}

fn post(function: &str, version: &str, more: &str) -> String {
    format!("POST {} HTTP/{version}\r\nHost: n1\r\n{more}Content-Length: 5\r\n\r\nhello", Bed::path(function))
}

#[test]
fn pipelined_calls_are_answered_in_order() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let last = "Connection: close\r\n";
    let three = post("near", "1.1", "") + &post("near", "1.1", "") + &post("near", "1.1", last);
    let reply = exchange(&bed, "three calls at once", three.as_bytes()).unwrap();
    assert_eq!(reply.statuses(), [200, 200, 200], "{:?}", reply.text());
    let mixed = post("near", "1.1", "") + &post("far", "1.1", "") + &post("near", "1.1", last);
    let reply = exchange(&bed, "two nodes at once", mixed.as_bytes()).unwrap();
    let nodes = [0, 1].map(|i| bed.federation.nodes[i].id.to_string());
    // A node at its limit lets go of the client, and a peer always does; the client repeats what came behind.
    assert_eq!((reply.statuses(), reply.header("dfaas-node-id")), (vec![200; 2], nodes.to_vec()), "{:?}", reply.text());
    assert_eq!(reply.header("connection"), ["close"], "{:?}", reply.text());
    let far = post("far", "1.1", "") + &post("far", "1.1", "");
    let reply = exchange(&bed, "a peer's", far.as_bytes()).unwrap();
    assert_eq!((reply.statuses(), reply.header("connection")), (vec![200], vec!["close".to_owned()]));
    bed.wait_without_flows().unwrap();
}

#[test]
fn bodies_that_wait_for_permission_get_it_or_a_refusal() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("body");
    std::fs::write(&file, vec![b'x'; 1_500_000]).unwrap();
    for (function, status) in [("near", "200"), ("far", "200"), ("full", "429")] {
        let (url, file, more) = (bed.url(function), file.display(), r#"header = "Expect: 100-continue""#);
        let out = r#"output = /dev/null
write-out = "%{http_code}\n""#;
        let said = curl(&bed, &format!("url = \"{url}\"\ndata-binary = \"@{file}\"\n{more}\n{out}\n")).unwrap();
        assert_eq!(said, [status], "{function}");
    }
}

#[test]
fn old_foreign_and_broken_requests_end_soon() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    for (function, node) in [("near", 0), ("far", 1)] {
        let reply = exchange(&bed, "HTTP/1.0", post(function, "1.0", "").as_bytes()).unwrap();
        let id = bed.federation.nodes[node].id.to_string();
        assert_eq!((reply.statuses(), reply.header("dfaas-node-id")), (vec![200], vec![id]), "{:?}", reply.text());
        let long = format!("GET {}?{} HTTP/1.1\r\nHost: n1\r\n\r\n", Bed::path(function), "x".repeat(20_000));
        refused(&bed, "a request line of 20000 bytes", long.as_bytes()).unwrap();
    }
    let long = format!("GET /function/{} HTTP/1.1\r\nHost: n1\r\n\r\n", "x".repeat(20_000));
    refused(&bed, "a name of 20000 bytes", long.as_bytes()).unwrap();
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.resize(517, 0x5a);
    refused(&bed, "TLS", &hello).unwrap();
    refused(&bed, "garbage", &(0..=255).cycle().take(4000).collect::<Vec<u8>>()).unwrap();
    refused(&bed, "garbage without an end", b"GARBAGE").unwrap();
    refused(&bed, "half a request", b"POST /function/far HTTP/1.1\r\nHost: n1\r\n").unwrap();
    refused(&bed, "an unknown function", b"GET /function/unheard-of HTTP/1.0\r\n\r\n").unwrap();
    // A client of HTTP/2 speaks first; it is served, or told in its own words to go.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let pieces = [Piece::Send(preface.to_vec()), Piece::Wait(Duration::from_millis(200)), Piece::Finish];
    bed.exchange(&pieces).unwrap();
    bed.wait_without_flows().unwrap();
    let after = bed.call("near", "still there").unwrap();
    assert_eq!((after.status, after.text().as_str()), (200, "still there"));
}

/// Ends without a 200, by an answer or by the end of the connection. What HAProxy has not read when it closes comes back
/// as a reset, which may overtake its answer.
fn refused(bed: &Bed, what: &str, bytes: &[u8]) -> Result<()> {
    let begun = Instant::now();
    match bed.exchange(&[Piece::Send(bytes.to_vec())]) {
        Ok(reply) if reply.statuses().iter().all(|status| (400..500).contains(status)) => {}
        Ok(reply) => bail!("{what}: {:?}", reply.text()),
        Err(error) => {
            let is_reset = |cause: &(dyn std::error::Error + 'static)| {
                let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                matches!(io, Some(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe))
            };
            ensure!(error.chain().any(is_reset), "{what}: {error:#}");
        }
    }
    let took = begun.elapsed();
    ensure!(took < BOUND, "{what}: ended after {took:?}");
    Ok(())
}
