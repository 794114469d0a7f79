//! The platform that runs the functions of a node dies, and comes back.

use std::{thread, time::Duration};

use dfaas_agent::{name::FunctionName, status::Status};
use dfaas_tests::{
    client::{Call, Connections, Load, Running, Tally},
    federation::Functions,
};

use crate::{Bed, SETTLE};

fn load(bed: &Bed, i: usize, function: &str, rate: f64, connections: Connections) -> Running {
    let call = Call::post(bed.url(i, &format!("/function/{function}")), "hello").timeout(Duration::from_secs(20));
    Load { call, rate, duration: None, connections }.start(&bed.from()).unwrap()
}

fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

/// Status and text of the health that n1 tells.
fn health(bed: &Bed) -> (u16, String) {
    let answer = Call::get("http://127.0.0.1:8090/healthz").send(&bed.host(0).namespace.entrance().unwrap()).unwrap();
    (answer.status, answer.text())
}

/// Waits until n1 has noticed that its gateway is dead or alive, and n2 has heard of it.
fn wait_noticed(bed: &Bed, alive: bool) {
    let first = bed.nodes[0].id.clone();
    bed.wait_until(SETTLE, |statuses| {
        let [n1, n2, ..] = statuses else { return Some("nodes are missing".into()) };
        if n1.1.platform.healthy != alive {
            return Some(format!("n1 has a platform that says: {}", n1.1.platform.detail));
        }
        let granted = n2.1.functions.get(&function("env")).and_then(|env| env.limits_out.get(&first)).copied();
        (granted.is_some_and(|limit| limit > 0.0) != alive).then(|| format!("n1 grants {granted:?} of env to n2"))
    })
    .unwrap();
}

/// Every call was served, refused or forwarded, and counted once.
fn uncounted(status: &Status) -> Option<String> {
    let odd = |(name, f): (&FunctionName, &dfaas_agent::status::FunctionStatus)| {
        let t = f.totals;
        (t.offered != t.local + t.forwarded + t.rejected).then(|| format!("{name}: {t:?}"))
    };
    status.functions.iter().find_map(odd)
}

fn assert_unharmed_from(what: &str, tally: &Tally, first: usize) {
    let total = tally.total_from(first);
    assert_eq!(total.unsuccessful(), 0, "{what}, from second {first}: {:?}\n{}", total.outcomes, tally.troubles());
    assert!(total.calls() >= 20, "{what}: only {} calls", total.calls());
}

#[test]
fn calls_are_served_elsewhere_while_a_gateway_is_dead() {
    let mut bed = Bed::new(|options| {
        options.functions = Functions::Lasting;
        options.rate_limits = vec![40];
        // Calls of `env` at n2 go to n1 and n3.
        options.rate_limits_of.insert("env".to_owned(), vec![40, 0, 40]);
    });
    let loads = [
        ("a connection per call", load(&bed, 0, "figlet", 6.0, Connections::PerCall)),
        ("kept connections", load(&bed, 0, "figlet", 3.0, Connections::Kept)),
        ("handed off to n1 before", load(&bed, 1, "env", 4.0, Connections::PerCall)),
    ];
    thread::sleep(Duration::from_secs(4));
    let second = |load: &Running| load.elapsed().as_secs() as usize;
    let died = second(&loads[0].1);
    bed.kill_gateway(0).unwrap();
    wait_noticed(&bed, false);
    let noticed = second(&loads[0].1) + 2;
    let (status, text) = health(&bed);
    assert!(status == 503 && text.contains("- openfaas not ready: "), "{status}: {text}");
    thread::sleep(Duration::from_secs(7));
    let back = second(&loads[0].1);
    bed.start_gateway(0).unwrap();
    wait_noticed(&bed, true);
    let recovered = second(&loads[0].1) + 2;
    assert_eq!(health(&bed).0, 200);
    thread::sleep(Duration::from_secs(6));

    let n1 = &bed.nodes[0].id;
    for (what, load) in loads {
        let tally = load.stop().unwrap();
        let by_n1 = |range: std::ops::Range<usize>| -> u64 {
            tally.seconds.iter().skip(range.start).take(range.len()).map(|second| second.served_by(n1)).sum()
        };
        assert!(by_n1(0..died) > 0, "{what}: n1 was never used");
        assert_eq!(by_n1(noticed..back), 0, "{what}: n1 cannot have served anything");
        assert!(by_n1(recovered..tally.seconds.len()) > 0, "{what}: n1 is used no more");
        assert_eq!(
            tally.seconds[..died].iter().map(dfaas_tests::client::Second::unsuccessful).sum::<u64>(),
            0,
            "{what}"
        );
        assert_unharmed_from(what, &tally, noticed);
    }
    bed.wait_until(SETTLE, |statuses| {
        statuses.iter().find_map(|(name, status)| Some(format!("{name}: {}", uncounted(status)?)))
    })
    .unwrap();
    let log = std::fs::read_to_string(&bed.nodes[0].log).unwrap();
    for told in ["the platform does not answer, its last list stays in force", "the platform answers again"] {
        assert_eq!(log.matches(told).count(), 1, "{told:?} in:\n{log}");
    }
    bed.stop();
}
