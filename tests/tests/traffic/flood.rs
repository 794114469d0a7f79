//! Clients that connect and say nothing, floods, and a crowd: nobody else suffers.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use dfaas_tests::{client::Echo, flood::Flood, network::Host};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::timeout,
};

use crate::{
    bed::{Bed, HANG, Reply},
    long,
};

fn echo(bed: &Bed, calls: usize) -> Echo {
    Echo {
        urls: vec![bed.url("near"), bed.url("far")],
        sizes_bytes: vec![0, 1_000, 20_000],
        calls,
        at_once: 8,
        timeout: HANG,
    }
}

/// Calls beside something else, until that has ended; all must be right.
fn calls_meanwhile(bed: &Bed, work: impl FnOnce() -> Result<()> + Send) -> Result<usize> {
    thread::scope(|scope| {
        let work = scope.spawn(work);
        let mut calls = 0;
        loop {
            let ended = work.is_finished();
            let echoed = echo(bed, 60).run(&bed.client)?;
            ensure!(echoed.wrong == 0, "{:#?}\n{}", echoed.texts, bed.verdicts());
            calls += 60;
            if ended {
                break;
            }
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(calls)
    })
}

#[test]
fn clients_that_connect_and_say_nothing_disturb_nobody() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let silent = || {
        bed.client.enter(|| {
            let mut open = Vec::new();
            for n in 0..3_000 {
                let stream = TcpStream::connect_timeout(&bed.service(), HANG)?;
                // One in six stays: the kernel must have forgotten it anyway.
                if n % 6 == 0 {
                    open.push(stream);
                }
            }
            Ok::<_, anyhow::Error>(open)
        })?
    };
    let held = std::sync::Mutex::new(Vec::new());
    calls_meanwhile(&bed, || {
        held.lock().unwrap().extend(silent()?);
        Ok(())
    })
    .unwrap();
    let held = held.into_inner().unwrap();
    assert_eq!(held.len(), 500);
    bed.wait_without_flows().unwrap();
    // Late, but they may still call.
    bed.client.enter(|| held.into_iter().step_by(50).try_for_each(|stream| late_call(&bed, stream))).unwrap().unwrap();
    assert!(bed.verdict(0, Verdict::CloseWithoutData).unwrap() >= 2_000, "{}", bed.verdicts());
}

fn late_call(bed: &Bed, mut stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(HANG))?;
    stream.write_all(format!("GET {} HTTP/1.0\r\n\r\n", Bed::path("far")).as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let (statuses, id) = (Reply(answer).statuses(), &bed.federation.nodes[1].id);
    ensure!(statuses == [200], "{statuses:?} from {id}");
    Ok(())
}

#[test]
fn a_flood_of_forged_handshakes_disturbs_nobody_and_leaves_nothing() {
    const FLOOD: u32 = 20_000;
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let flood = Flood::new(bed.federation.host(2), bed.federation.host(0), bed.service().port(), FLOOD).unwrap();
    let (answered, decided) = (bed.verdict(0, Verdict::SynAnswered).unwrap(), decided(&bed));
    // All are to arrive: as fast as they can be sent, some would be lost on the way to the interface.
    let paced = |sent: u64| {
        if sent.is_multiple_of(16) {
            thread::sleep(Duration::from_millis(1));
        }
        sent < FLOOD.into()
    };
    let flood = || flood.send(&bed.client, paced).map(drop);
    let calls = calls_meanwhile(&bed, flood).unwrap();
    let answered = bed.verdict(0, Verdict::SynAnswered).unwrap() - answered;
    assert!(answered >= u64::from(FLOOD) + calls as u64, "{answered} answers\n{}", bed.verdicts());
    let more = self::decided(&bed) - decided;
    assert!(more <= calls, "{more} decisions for {calls} calls");
    bed.wait_without_flows().unwrap();
}

fn decided(bed: &Bed) -> usize {
    bed.tables(0).unwrap().decided().count()
}

/// A connection that a peer serves stays known while more connections end than all tables have room for.
#[test]
fn a_crowd_of_short_connections_does_not_evict_a_long_one() {
    const WANTED: u32 = 70_000;
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    let client = &bed.federation.host(2).namespace;
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    bed.client.enter(|| std::fs::write(range, "1024 65535")).unwrap().unwrap();
    let SocketAddr::V4(service) = bed.service() else { panic!("IPv4 only") };
    let [a, b, c, _] = service.ip().octets();
    let sources = [201, 202, 203, 204].map(|d| Ipv4Addr::new(a, b, c, d));
    for source in sources {
        client.run(&format!("ip addr add {source}/24 dev {}", Host::INTERFACE)).unwrap();
    }
    let (stop, done) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let long_call = scope.spawn(|| trickle(&bed, &stop));
        let deadline = Instant::now() + Duration::from_secs(if long() { 120 } else { 20 });
        let crowd = sources.map(|source| {
            let (bed, done) = (&bed, &done);
            scope.spawn(move || crowd(bed, source, done, WANTED, deadline))
        });
        let crowd: Vec<_> = crowd.into_iter().map(|thread| thread.join().unwrap()).collect();
        let held = bed.tables(0).unwrap().forwarded().count();
        stop.store(true, Relaxed);
        // First the long one: the others may have failed only because of it.
        long_call.join().unwrap().unwrap();
        crowd.into_iter().for_each(Result::unwrap);
        assert_eq!(held, 1, "the long one was not forwarded by the kernel\n{}", bed.verdicts());
    });
    let done = done.load(Relaxed);
    eprintln!("{done} connections of {WANTED} beside the long one, {} decisions known", decided(&bed));
    assert!(done > 5_000, "only {done} connections");
    bed.wait_without_flows().unwrap();
}

/// A body that comes byte by byte until told to stop, then in one piece.
fn trickle(bed: &Bed, stop: &AtomicBool) -> Result<()> {
    const BODY_BYTES: usize = 100_000;
    bed.client.enter(|| {
        let mut stream = TcpStream::connect_timeout(&bed.service(), HANG)?;
        stream.set_read_timeout(Some(HANG))?;
        let path = Bed::path("far");
        // In one piece, so that the kernel can read it.
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: n1\r\nConnection: close\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut sent = 0;
        while !stop.load(Relaxed) && sent < BODY_BYTES {
            if let Err(error) = stream.write_all(b"t") {
                let mut answer = Vec::new();
                let read = stream.read_to_end(&mut answer);
                anyhow::bail!("after {sent} bytes: {error}; {read:?} {:?}", Reply(answer).text());
            }
            sent += 1;
            thread::sleep(Duration::from_millis(50));
        }
        stream.write_all(&vec![b't'; BODY_BYTES - sent])?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(|| format!("after {sent} bytes"))?;
        let reply = Reply(answer);
        let right = reply.statuses() == [200] && reply.text().ends_with(&"t".repeat(BODY_BYTES));
        ensure!(right, "after {sent} bytes: {:?}", reply.text().chars().take(300).collect::<String>());
        ensure!(reply.header("dfaas-node-id") == [bed.federation.nodes[1].id.as_str()], "another node has answered");
        Ok(())
    })?
}

/// Refused calls, the cheapest there are; each is a decision that the kernel notes.
fn crowd(bed: &Bed, source: Ipv4Addr, done: &AtomicU32, wanted: u32, deadline: Instant) -> Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nHost: n1\r\n\r\n", Bed::path("full"));
    bed.client.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            while done.load(Relaxed) < wanted && Instant::now() < deadline {
                let call = async {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((source, 0).into())?;
                    let mut stream = socket.connect(bed.service()).await?;
                    stream.write_all(request.as_bytes()).await?;
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await?;
                    // No TIME_WAIT: the ports must last.
                    stream.set_zero_linger()?;
                    Ok::<_, anyhow::Error>(Reply(answer).statuses())
                };
                let statuses = timeout(HANG, call).await??;
                ensure!(statuses == [429], "{statuses:?}");
                done.fetch_add(1, Relaxed);
            }
            Ok(())
        })
    })?
}
