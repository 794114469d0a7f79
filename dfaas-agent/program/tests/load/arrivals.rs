//! What the player promises of arrivals, whatever the server does.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bytes::Bytes;
use dfaas_load::{
    Arrivals, Attack, DEFAULT_TIMEOUT,
    engine::{Limits, Played, play},
    plan::Stage,
    summary::Tally,
    target::Target,
};

use crate::server::{self, STALL};

pub(crate) fn attack(url: &str, rate: f64, duration: Duration) -> Attack {
    Attack {
        name: "attack".into(),
        delay: Duration::ZERO,
        targets: vec![Target::new("GET", url, &[], Bytes::new()).unwrap()],
        stages: vec![Stage::constant(rate, duration)],
        arrivals: Arrivals::Constant,
        timeout: DEFAULT_TIMEOUT,
        close: false,
        stage_headers: false,
    }
}

pub(crate) fn played(attacks: &[Attack], in_flight: usize) -> Played {
    let limits = Limits { in_flight, stop: Arc::new(AtomicBool::new(false)) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(play(attacks, &limits, |_| {})).unwrap()
}

#[test]
fn every_arrival_has_one_record_and_none_is_lost() {
    let (address, _) = server::node("127.0.0.1");
    let played = played(&[attack(&format!("http://{address}/fast"), 1_000.0, Duration::from_secs(2))], 10_000);
    let numbers: BTreeSet<u64> = played.records.iter().map(|record| record.seq).collect();
    assert_eq!((played.due, played.records.len(), numbers.len()), (2_000, 2_000, 2_000));
    let tally = Tally::of(&played.records);
    assert_eq!((tally.sent, tally.completed, tally.successes), (2_000, 2_000, 2_000), "{:?}", tally.errors);
    assert_eq!(tally.by_node["n1"], 2_000);
    assert!(played.records.iter().all(|record| record.late.is_some_and(|late| late <= record.latency)));
}

/// Lower bounds only, and all of them because the server answers nobody before the stall is over.
#[test]
fn a_stall_of_the_server_is_seen_by_all_requests_that_were_due_meanwhile() {
    let (address, _) = server::node("127.0.0.1");
    let played = played(&[attack(&format!("http://{address}/stall"), 100.0, Duration::from_secs(2))], 10_000);
    for record in &played.records {
        let due = Duration::from_millis(10) * u32::try_from(record.seq).unwrap();
        assert!(record.latency >= STALL.saturating_sub(due), "{record:?}");
    }
    let tally = Tally::of(&played.records);
    assert_eq!(tally.successes, 200, "{:?}", tally.errors);
    assert!(tally.latency.max() >= STALL, "{:?}", tally.latency.max());
    assert!(tally.latency.percentile(99.0) >= STALL.mul_f64(0.96), "{:?}", tally.latency.percentile(99.0));
}

#[test]
fn arrivals_for_which_there_is_no_room_are_counted_as_not_sent() {
    let (address, _) = server::node("127.0.0.1");
    let played = played(&[attack(&format!("http://{address}/stall"), 100.0, Duration::from_secs(1))], 1);
    let tally = Tally::of(&played.records);
    assert_eq!((played.due, tally.planned), (100, 100));
    // While the first one waits nothing else is sent.
    assert!(tally.sent < 100 && tally.sent >= 1, "{}", tally.sent);
    assert_eq!(tally.errors["not sent: 1 requests under way"], 100 - tally.sent);
    assert!(tally.success_rate() < 1.0);
}

#[test]
fn attacks_run_side_by_side_each_after_its_delay() {
    let (address, _) = server::node("127.0.0.1");
    let url = format!("http://{address}/fast");
    let (first, mut second) = (attack(&url, 50.0, Duration::from_secs(1)), attack(&url, 100.0, Duration::from_secs(1)));
    (second.name, second.delay) = ("second".into(), Duration::from_millis(300));
    let records = played(&[first, second], 1_000).records;
    let due = |name: &str| records.iter().filter(|r| &*r.attack == name).map(|r| r.due_ns).collect::<BTreeSet<_>>();
    let (first, second) = (due("attack"), due("second"));
    assert_eq!((first.len(), second.len()), (50, 100));
    assert_eq!(second.first().unwrap() - first.first().unwrap(), 300_000_000);
}

#[test]
fn a_stop_ends_the_plan_and_keeps_what_was_due() {
    let (address, _) = server::node("127.0.0.1");
    let limits = Limits { in_flight: 100, stop: Arc::new(AtomicBool::new(false)) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let attack = attack(&format!("http://{address}/fast"), 100.0, Duration::from_hours(1));
    let mut seen = 0;
    let stop = Arc::clone(&limits.stop);
    let see = |_: &_| {
        seen += 1;
        stop.store(seen >= 5, std::sync::atomic::Ordering::Relaxed);
    };
    let played = runtime.block_on(play(&[attack], &limits, see)).unwrap();
    assert!(played.due >= 5);
    assert_eq!(played.records.len() as u64, played.due);
}

#[test]
fn the_stage_of_a_request_is_told_in_its_headers() {
    let (address, seen) = server::node("127.0.0.1");
    let mut attack = attack(&format!("http://{address}/fast"), 0.0, Duration::ZERO);
    attack.stages = vec![
        Stage { from: 0.0, to: 40.0, duration: Duration::from_millis(500) },
        Stage::constant(40.0, Duration::from_millis(250)),
    ];
    attack.stage_headers = true;
    assert_eq!(played(&[attack], 100).due, 20);
    let seen = seen.headers.lock().unwrap();
    let count = |stage: &str, duration: &str| {
        let same = |headers: &&axum::http::HeaderMap| {
            headers["dfaas-k6-stage"] == stage
                && headers["dfaas-k6-duration"] == duration
                && headers["dfaas-k6-rate"] == "40"
        };
        seen.iter().filter(same).count()
    };
    assert_eq!((count("0", "500ms"), count("1", "250ms")), (10, 10));
}
