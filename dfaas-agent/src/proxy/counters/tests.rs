use super::*;
use crate::{
    decision::Decision,
    proxy::{PeerSample, render::render},
};

const PEER: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";

/// From HAProxy 2.6.12, with other names and fewer columns.
fn table(pid: u32, calls: u64) -> String {
    format!(
        "# table: tables/st_calls, type: string, size:100, used:3\n\
         0x562ad6fe9430: key=fig-let@{pid} use=0 exp=0 gpc0=0 gpc1=0 gpc2=0 gpc3={calls} gpc4=0 gpc6={calls} gpc12=8\n\
         0x562ad6fe9431: key=fig-let,{PEER}@{pid} use=0 exp=0 gpc4=5 gpc6=2 gpc8=1\n\
         0x562ad6fe9431: key=fig-let>{PEER}@{pid} use=0 exp=0 gpc4=0 gpc11=7 gpc13=5\n\
         0x562ad6fe9432: key=_@{pid} use=0 exp=0 gpc9=4 gpc10=3 gpc99=1\n\n"
    )
}

fn rendered() -> Rendered {
    let mut decision = Decision::default();
    let function = crate::decision::FunctionTable {
        deployed: true,
        local_limit: None,
        shape: crate::decision::Shape::LocalFirst,
        weights: crate::decision::Weights::default(),
        limits_out: BTreeMap::new(),
        limits_in: BTreeMap::new(),
        timeout: None,
    };
    decision.functions.insert("fig-let".parse().unwrap(), function);
    render(&crate::proxy::settings::example(), &decision)
}

fn reading(workers: &[(u32, u64)]) -> Reading {
    let mut reading = Reading::default();
    for (pid, calls) in workers {
        reading.add_worker(Some(*pid), &table(*pid, *calls));
    }
    reading
}

#[test]
fn the_table_becomes_a_sample() {
    let mut accumulator = Accumulator::default();
    accumulator.absorb(reading(&[(1, 10)]), &rendered());
    let rates = local_rates("0x1: key=fig-let use=0 exp=4166 http_req_rate(1000)=6\n");
    let sample = accumulator.sample(&rates, &ResponseTimes::default());
    let function = &sample.functions[&"fig-let".parse().unwrap()];
    let peer: NodeId = PEER.parse().unwrap();
    assert_eq!((sample.forbidden, sample.unknown), (4, 3));
    assert_eq!((function.service, function.served_local, function.local_rate), (10, 12, 6));
    assert_eq!(function.from_peers[&peer], PeerSample { forwarded: 5, handed_off: 0, refused: 1 });
    assert_eq!((function.forwarded[&peer], function.forwarded_well[&peer]), (7, 5));
    assert_eq!(function.served_well, 8);
}

#[test]
fn counts_go_on_over_a_reload_and_a_reused_pid() {
    let name: FunctionName = "fig-let".parse().unwrap();
    let mut accumulator = Accumulator::default();
    let mut service = |reading| {
        accumulator.absorb(reading, &rendered());
        accumulator.sample(&BTreeMap::new(), &ResponseTimes::default()).functions[&name].service
    };
    assert_eq!(service(reading(&[(1, 10)])), 10);
    assert_eq!(service(reading(&[(1, 11), (2, 3), (1, 12)])), 15, "two workers know the row of the first");
    let busy = || {
        let mut reading = reading(&[(2, 3)]);
        reading.incomplete();
        reading
    };
    assert_eq!(service(busy()), 15, "the old worker was too busy to answer");
    assert_eq!(service(reading(&[(2, 3)])), 15, "the row is on its way to the new worker");
    assert_eq!(service(busy()), 15);
    assert_eq!(service(reading(&[(1, 13), (2, 3)])), 16, "and has arrived");
    assert_eq!(service(reading(&[(2, 4)])), 17);
    assert_eq!(service(reading(&[(2, 4)])), 17, "the row has expired");
    assert_eq!(service(reading(&[(1, 1), (2, 4)])), 18, "and begins anew");
    assert_eq!(service(reading(&[(1, 1), (2, 1)])), 19, "a new worker with the same pid");
    for _ in 0..3 {
        assert_eq!(service(Reading::default()), 19, "no rows yet");
    }
}

#[test]
fn a_copy_that_lacks_the_last_counts_of_an_ended_worker_takes_nothing_back() {
    let name: FunctionName = "fig-let".parse().unwrap();
    let mut accumulator = Accumulator::default();
    let mut service = |reading| {
        accumulator.absorb(reading, &rendered());
        accumulator.sample(&BTreeMap::new(), &ResponseTimes::default()).functions[&name].service
    };
    let copy = |calls| {
        let mut reading = Reading::default();
        reading.add_worker(Some(2), &table(1, calls));
        reading
    };
    assert_eq!(service(reading(&[(1, 10)])), 10);
    assert_eq!(service(copy(8)), 10);
    assert_eq!(service(copy(9)), 10);
    assert_eq!(service(Reading::default()), 10, "the copy has expired");
    assert_eq!(service(Reading::default()), 10);
}

#[test]
fn a_function_that_is_gone_is_forgotten() {
    let mut accumulator = Accumulator::default();
    accumulator.absorb(reading(&[(1, 10)]), &rendered());
    let nothing = render(&crate::proxy::settings::example(), &Decision::default());
    accumulator.absorb(Reading::default(), &nothing);
    accumulator.absorb(Reading::default(), &nothing);
    assert!(accumulator.live.is_empty());
    assert_eq!(accumulator.ended.keys().collect::<Vec<_>>(), ["_"]);
}
