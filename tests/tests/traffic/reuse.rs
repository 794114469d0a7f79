//! Client ports that are used again at once, and connections that end in all ways there are.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::bed::{Bed, HANG, Reply};

const TIMES: usize = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ClientFirst,
    ServerFirst,
    Reset,
}

const ENDS: [End; 3] = [End::ClientFirst, End::ServerFirst, End::Reset];

/// One call from this port, as soon as the port is free for this server again.
async fn call(from: SocketAddr, to: SocketAddr, function: &str, end: End) -> Result<Reply> {
    let mut stream = connect(from, to).await?;
    let connection = if end == End::ServerFirst { "close" } else { "keep-alive" };
    let (path, port) = (Bed::path(function), from.port());
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: n1\r\nConnection: {connection}\r\nContent-Length: 5\r\n\r\n{port:05}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match end {
        End::ServerFirst => {
            stream.read_to_end(&mut answer).await?;
        }
        End::ClientFirst => {
            stream.shutdown().await?;
            stream.read_to_end(&mut answer).await?;
        }
        End::Reset => {
            while !answer.ends_with(format!("{port:05}").as_bytes()) {
                ensure!(stream.read_buf(&mut answer).await? > 0, "the end after {:?}", Reply(answer).text());
            }
            stream.set_zero_linger()?;
        }
    }
    Ok(Reply(answer))
}

/// The client's own TIME_WAIT is in the way for a moment.
async fn connect(from: SocketAddr, to: SocketAddr) -> Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(from).with_context(|| format!("cannot bind to {from}"))?;
        match socket.connect(to).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            result => return Ok(result?),
        }
    }
}

async fn call_again_and_again(bed: &Bed, port: u16, function: &str, end: End) -> Result<()> {
    let from = SocketAddr::from((bed.federation.client_address(), port));
    let mut slowest = Duration::ZERO;
    for n in 0..TIMES {
        let what = || format!("call {n} of {function} from port {port}, {end:?}");
        let begun = Instant::now();
        let reply = match timeout(HANG, call(from, bed.service(), function, end)).await {
            Ok(reply) => reply.with_context(what)?,
            Err(_) => bail!("{}: nothing for {HANG:?}", what()),
        };
        let right = reply.statuses() == [200] && reply.text().ends_with(&format!("{port:05}"));
        ensure!(right, "{}: {:?}", what(), reply.text());
        slowest = slowest.max(begun.elapsed());
    }
    eprintln!("{TIMES} calls of {function} from one port, {end:?}: slowest {} ms", slowest.as_millis());
    Ok(())
}

fn ports_are_used_again(place: XdpPlace) -> Result<()> {
    let bed = Bed::new(2, place)?;
    // Otherwise a client that has closed first must wait for a second before it may try.
    let delay = "/proc/sys/net/ipv4/tcp_tw_reuse_delay";
    bed.client.enter(|| std::fs::write(delay, "1").with_context(|| format!("cannot set {delay}")))??;
    bed.client.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut port = 20_000;
            for function in ["near", "far"] {
                for end in ENDS {
                    port += 1;
                    call_again_and_again(&bed, port, function, end).await?;
                }
            }
            Ok::<_, anyhow::Error>(())
        })
    })??;
    // Otherwise no port was used again before its time.
    let replaced = bed.verdict(0, Verdict::OldSocketReplaced)? + bed.verdict(1, Verdict::OldSocketReplaced)?;
    ensure!(replaced > 0, "no old socket was replaced\n{}", bed.verdicts());
    bed.wait_without_flows()
}

#[test]
fn a_port_that_is_used_again_at_once_is_served_with_native_xdp() {
    ports_are_used_again(XdpPlace::Native).unwrap();
}

#[test]
fn a_port_that_is_used_again_at_once_is_served_with_generic_xdp() {
    ports_are_used_again(XdpPlace::Generic).unwrap();
}

/// Many connections at once, ended in all ways, and some whose client says nothing more.
#[test]
fn no_connection_is_remembered_as_live_after_its_end() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let work = bed.client.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (address, to) = (bed.federation.client_address(), bed.service());
            let calls = (0..300u16).map(|n| {
                let end = ENDS[usize::from(n) % ENDS.len()];
                timeout(HANG, call(SocketAddr::from((address, 21_000 + n)), to, "far", end))
            });
            for result in futures::future::join_all(calls).await {
                let reply = result??;
                ensure!(reply.statuses() == [200], "{:?}", reply.text());
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    work.unwrap().unwrap();
    assert!(bed.verdict(0, Verdict::FirstToPeer).unwrap() >= 300);
    bed.wait_without_flows().unwrap();
}
