//! How soon a federation reacts.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use dfaas_agent::kernel::{pins::Pins, tables::Tables};
use dfaas_common::{http::Name, limit, route::Route};
use dfaas_tests::client::{Call, Connections, Load, Running};

use crate::Bed;

fn load(bed: &Bed, i: usize, rate: f64) -> Running {
    let call = Call::post(bed.url(i, "/function/figlet"), "hello").timeout(Duration::from_secs(20));
    Load { call, rate, duration: None, connections: Connections::PerCall }.start(&bed.from()).unwrap()
}

#[test]
fn no_call_is_refused_when_the_load_steps_to_twice_the_limit() {
    let bed = Bed::new(|options| options.rate_limits = vec![10, 40, 40]);
    let below = load(&bed, 0, 8.0);
    thread::sleep(Duration::from_secs(4));
    let above = load(&bed, 0, 12.0);
    thread::sleep(Duration::from_secs(6));
    let mut by_others = 0;
    for load in [below, above] {
        let tally = load.stop().unwrap();
        let total = tally.total();
        assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, tally.troubles());
        by_others += total.calls() - total.served_by(&bed.nodes[0].id);
    }
    assert!(by_others >= 40, "only {by_others} calls were forwarded");
    bed.stop();
}

/// A value that was not there before one time, and was at another.
struct Seen {
    value: f64,
    after: Instant,
    by: Instant,
}

/// Notes each new value until it is stopped.
fn watch(stop: &AtomicBool, pause: Duration, read: impl Fn() -> f64) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut not_yet = Instant::now();
    while !stop.load(Relaxed) {
        let asked = Instant::now();
        let value = read();
        if seen.last().is_none_or(|last| !is_same(last.value, value)) {
            seen.push(Seen { value, after: not_yet, by: Instant::now() });
        }
        not_yet = asked;
        thread::sleep(pause);
    }
    seen
}

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs())
}

/// Reads from the kernel's table of node `i` what it says of the peer `of`.
fn rate_of_figlet(bed: &Bed, i: usize, of: usize, read: impl Fn(&Route, usize) -> f64) -> impl Fn() -> f64 {
    let peer = &bed.nodes[of].id;
    let number = bed.status(i).unwrap().peers.iter().find(|known| known.node == *peer).unwrap().number.unwrap();
    let tables = Tables::open(&Pins::new(&bed.nodes[i].pin_dir)).unwrap().unwrap();
    let figlet = Name::new("figlet").unwrap();
    move || {
        let (_, route) = tables.routes().into_iter().find(|(name, _)| *name == figlet).unwrap();
        read(&route, number as usize)
    }
}

/// Calls per second.
fn limit_of(interval_ns: u64) -> f64 {
    if interval_ns == limit::CLOSED { 0.0 } else { 1e9 / interval_ns as f64 }
}

/// Prints how long it takes: the figure in docs/strategies.md.
#[test]
fn a_new_grant_reaches_the_kernel_of_the_peer() {
    let bed = Bed::new(|options| {
        options.nodes = 2;
        options.rate_limits = vec![10, 60];
    });
    // Both in the kernels' own tables: a status is as old as a tick.
    let granted = rate_of_figlet(&bed, 1, 0, |route, n1| limit_of(route.in_interval_ns[n1]) / limit::TOLERANCE);
    let in_kernel = rate_of_figlet(&bed, 0, 1, |route, n2| limit_of(route.out_interval_ns[n2]));
    let stop = AtomicBool::new(false);
    let (decided, obeyed) = thread::scope(|scope| {
        let decided = scope.spawn(|| watch(&stop, Duration::from_millis(2), granted));
        let kernel = scope.spawn(|| watch(&stop, Duration::from_millis(1), in_kernel));
        // What n2 needs for its own clients it does not grant.
        for _ in 0..6 {
            let load = load(&bed, 1, 40.0);
            thread::sleep(Duration::from_secs(2));
            load.stop().unwrap();
            thread::sleep(Duration::from_secs(2));
        }
        stop.store(true, Relaxed);
        (decided.join().unwrap(), kernel.join().unwrap())
    });
    let mut delays_ms: Vec<f64> = Vec::new();
    for (i, grant) in decided.iter().enumerate().skip(1) {
        // Small changes are no news: they come with the next heartbeat.
        if (grant.value / decided[i - 1].value - 1.0).abs() < 0.1 {
            continue;
        }
        // Values come back: only until the next one was decided.
        let next = decided.get(i + 1).map(|next| next.by);
        let is_it = |seen: &&Seen| is_same(seen.value, grant.value) && seen.by > grant.after;
        let arrived = obeyed.iter().find(is_it).filter(|seen| next.is_none_or(|next| seen.after < next));
        delays_ms.extend(arrived.map(|seen| (seen.by - grant.after).as_secs_f64() * 1e3));
    }
    delays_ms.sort_by(f64::total_cmp);
    assert!(delays_ms.len() >= 6, "of {} grants only {} arrived", decided.len(), delays_ms.len());
    let at = |share: f64| delays_ms[((delays_ms.len() - 1) as f64 * share) as usize];
    println!(
        "{} grants, from the decision to the peer's kernel: median {:.0} ms, nine of ten within {:.0} ms, at most {:.0} ms",
        delays_ms.len(),
        at(0.5),
        at(0.9),
        at(1.0)
    );
    bed.stop();
}
