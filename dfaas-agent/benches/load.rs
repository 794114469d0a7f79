//! Does the load player keep its plan? 5,000 requests per second for 30 seconds at a server in the same process; other
//! figures: `cargo bench -p dfaas-benches --bench load -- RATE SECONDS`.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use axum::{Router, routing::get};
use bytes::Bytes;
use dfaas_load::{
    Arrivals, Attack, DEFAULT_TIMEOUT,
    engine::{Limits, play},
    plan::{Stage, expected},
    report,
    summary::Tally,
    target::Target,
};

/// Of the planned requests, so many may be missing.
const LOSS: f64 = 0.001;

fn main() -> anyhow::Result<ExitCode> {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (rate, seconds) = (numbers.first().copied().unwrap_or(5_000), numbers.get(1).copied().unwrap_or(30));
    let url = format!("http://{}/", server()?);
    let attack = Attack {
        name: "bench".into(),
        delay: Duration::ZERO,
        targets: vec![Target::new("GET", &url, &[], Bytes::new()).map_err(anyhow::Error::msg)?],
        stages: vec![Stage::constant(f64::from(rate), Duration::from_secs(u64::from(seconds)))],
        arrivals: Arrivals::Constant,
        timeout: DEFAULT_TIMEOUT,
        close: false,
        stage_headers: false,
    };
    let planned = expected(&attack.stages);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let limits = Limits { in_flight: 10_000, stop: Arc::new(AtomicBool::new(false)) };
    let played = runtime.block_on(play(&[attack], &limits, |_| {}))?;
    let tally = Tally::of(&played.records);
    println!("{}", report::text(&tally));
    println!("planned {planned}, sent {}, within 0.1 %: {}", tally.sent, kept(planned, tally.sent));
    Ok(ExitCode::from(u8::from(!kept(planned, tally.sent))))
}

fn kept(planned: u64, sent: u64) -> bool {
    sent as f64 >= planned as f64 * (1.0 - LOSS)
}

fn server() -> anyhow::Result<SocketAddr> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            axum::serve(listener, Router::new().route("/", get("ok"))).await?;
            Ok(())
        })
    });
    Ok(receiver.recv()?)
}
