//! First data packets, by who may take them.

use std::net::SocketAddrV4;

use dfaas_common::{
    counters::{FunctionCounters, PairCounters},
    flow::{CLIENT_FINISHED, Flow, Target},
    limit::{CLOSED, Limit},
    maps::MAX_FORWARDED,
    peer::{DEAD, DRAINING},
    route::{Route, SLOT_LOCAL, SLOT_PROXY, WEIGHTED},
    tunnel::FIRST,
    verdict::Verdict::{FirstRepeated, FirstToLocal, FirstToPeer, FirstToProxy, FlowTableFull},
};
use dfaas_tests::packet::{ACK, FIN, Frame};

use super::{
    bench::Bench,
    peers::to_peer,
    row::{LOCAL_FIRST, PROXY_FIRST, Row, row},
    world::{
        B, C, CALL, CLIENT, Connection, ECHO_NUMBER, HERE, Now, SECRET, TO_PROXY, Where, by_slots, route, weighted,
    },
};

pub(crate) const LOCAL_ONE: FunctionCounters = FunctionCounters {
    seen: 1,
    local: 1,
    to_proxy: 0,
    forwarded: 0,
    refused: 0,
    unavailable: 0,
    received: 0,
    turned_away: 0,
};
pub(crate) const FORWARDED_ONE: FunctionCounters = FunctionCounters { local: 0, forwarded: 1, ..LOCAL_ONE };
pub(crate) const TO_PEER: PairCounters = PairCounters { forwarded: 1, received: 0, bounced: 0, turned_away: 0 };

/// Far apart: at most one call within a test.
const ONE_A_DAY: Limit = Limit { interval_ns: 86_400_000_000_000, burst_ns: 0 };

/// Longer than a call takes, shorter than [`idle`].
pub(crate) const QUICK: Limit = Limit { interval_ns: 20_000_000, burst_ns: 0 };

/// Placed here, as a call of the function.
pub(crate) fn local(row: Row, connection: Connection) -> Row {
    row.passes(FirstToLocal)
        .hint(LOCAL_FIRST)
        .counts(LOCAL_ONE)
        .leaves(Where::Decided, connection, connection.flow(HERE))
        .touched()
}

/// Handed to a peer.
fn to(row: Row, number: u32, first: &Frame, connection: Connection) -> Row {
    row.sends(FirstToPeer, to_peer(number, FIRST, &first.packet(), connection.from, &[]))
        .counts(FORWARDED_ONE)
        .pair(number, TO_PEER)
        .leaves(Where::Forwarded, connection, connection.flow(Target::Peer(number)))
        .event(ECHO_NUMBER, *connection.from.ip())
        .touched()
}

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [shapes(now), limits(now), peers(now), listeners(now), steered_by_haproxy(now)].into_iter().flatten().collect()
}

/// What is for peers without a kernel path.
fn steered_by_haproxy(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let first = c.first(CALL);
    let call = |name: &str| row(name, c.first(CALL));
    let given = |row: Row| {
        let counts = FunctionCounters { local: 0, to_proxy: 1, ..LOCAL_ONE };
        row.passes(FirstToProxy).hint(PROXY_FIRST).counts(counts).leaves(Where::Decided, c, c.flow(TO_PROXY)).touched()
    };
    vec![
        given(call("to HAProxy, which steers").route(by_slots(&[(SLOT_PROXY, 1)]))),
        given(call("to HAProxy, whose listener for placed calls is gone").route(by_slots(&[(SLOT_PROXY, 1)])))
            .given(Bench::stop_placed),
        local(call("the local limit comes before HAProxy").route(Route { slots: [SLOT_PROXY; 256], ..route() }), c),
        call("again, for HAProxy to steer")
            .given(move |b| b.tables.set_decided(&c.key(), &c.flow(TO_PROXY)).unwrap())
            .passes(FirstRepeated)
            .hint(PROXY_FIRST)
            .touched(),
        to(call("HAProxy does not listen, a peer takes it").route(by_slots(&[(SLOT_PROXY, 1), (2, 1)])), B, &first, c)
            .without_service_listener(),
    ]
}

fn shapes(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let first = c.first(CALL);
    let call = |name: &str| row(name, c.first(CALL));
    let s = c.stamping(now);
    let stamped = s.first(CALL).options(&s.stamp());
    let full = c.first(format!("{CALL}{}", "y".repeat(1400 - CALL.len())));
    let half_closed = c.first(CALL).flags(ACK | FIN);
    let padded = c.first("GET /function/echo ").padded_to(90);
    let bare = c.first("GET /function/echo ");
    let to_b = weighted(&[(2, 1)]);
    vec![
        to(call("everything to peer B").route(to_b), B, &first, c),
        to(call("nothing deployed: by the slots").route(Route { deployed: 0, ..route_to_b() }), B, &first, c),
        to(row("to B: with a timestamp", stamped.clone()).route(to_b), B, &stamped, s),
        to(row("to B: a full packet", full.clone()).route(to_b), B, &full, c),
        to(row("to B: with padding", padded).route(to_b), B, &bare, c)
            .sends(FirstToPeer, to_peer(B, FIRST, &bare.packet(), CLIENT, &[0xdd; 17])),
        to(row("to B: with FIN", half_closed.clone()).route(to_b), B, &half_closed, c).leaves(
            Where::Forwarded,
            c,
            Flow { finished: CLIENT_FINISHED, ..c.flow(Target::Peer(B)) },
        ),
        local(call("weights of this node alone").route(weighted(&[(SLOT_LOCAL, 1)])), c),
        to(
            call("equal weights: the second call to C").route(weighted(&[(2, 1), (3, 1)])).given(first_call(now)),
            C,
            &first,
            c,
        ),
        to(
            call("equal weights: the third call to B")
                .route(weighted(&[(2, 1), (3, 1)]))
                .given(first_call(now))
                .given(first_call(now)),
            B,
            &first,
            c,
        ),
        call("to B: reported lately, no event again")
            .route(to_b)
            .given(|b| b.set_gate(FirstToPeer.number(), super::world::monotonic_ns()))
            .sends(FirstToPeer, to_peer(B, FIRST, &first.packet(), CLIENT, &[]))
            .counts(FORWARDED_ONE)
            .pair(B, TO_PEER)
            .leaves(Where::Forwarded, c, c.flow(Target::Peer(B))),
        full_table(now),
    ]
}

fn route_to_b() -> Route {
    Route { slots: weighted(&[(2, 1)]).slots, ..route() }
}

/// Somebody else's call, and its entry forgotten.
fn first_call(now: Now) -> impl Fn(&mut Bench) {
    let other = Connection::of(SocketAddrV4::new(*CLIENT.ip(), 50_001), 7, SECRET.current, now.0);
    move |b| {
        b.send(&other.first(CALL).bytes());
        b.tables.clear_flows().unwrap();
    }
}

/// No entry left for one more connection.
fn full_table(now: Now) -> Row {
    let c = Connection::new(now);
    row("to B: the flow table is full", c.first(CALL))
        .route(weighted(&[(2, 1)]))
        .given(move |b| {
            let flow = c.flow(Target::Peer(B));
            for i in 0..MAX_FORWARDED as u32 {
                let mut key = c.key();
                key.address.0[..4].copy_from_slice(&(i + 1).to_ne_bytes());
                b.tables.set_forwarded(&key, &flow).unwrap();
            }
        })
        .passes(FlowTableFull)
        .hint(PROXY_FIRST)
        .counts(FunctionCounters { local: 0, to_proxy: 1, ..LOCAL_ONE })
        .event(ECHO_NUMBER, *CLIENT.ip())
        .leaves_many(MAX_FORWARDED + 1)
}

fn limits(now: Now) -> Vec<Row> {
    [limits_of_this_node(now), grants_of_b(now)].into_iter().flatten().collect()
}

fn limits_of_this_node(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let call = |name: &str| row(format!("limit of this node: {name}"), c.first(CALL));
    let limited =
        |burst_ns| Route { local: Limit { burst_ns, ..ONE_A_DAY }, slots: weighted(&[(2, 1)]).slots, ..route() };
    let one_more = ONE_A_DAY.interval_ns;
    let closed_slot = Route { local: Limit::CLOSED, ..weighted(&[(SLOT_LOCAL, 1), (3, 1)]) };
    let by_slots_to = |row: Row, number| to(row, number, &c.first(CALL), c);
    vec![
        local(call("the first call here").route(limited(0)), c),
        by_slots_to(call("the second call by the slots").route(limited(0)).given(first_call(now)), B),
        local(call("the burst here").route(limited(one_more)).given(first_call(now)), c),
        by_slots_to(
            call("behind the burst by the slots")
                .route(limited(one_more))
                .given(first_call(now))
                .given(first_call(now)),
            B,
        ),
        by_slots_to(call("closed").route(by_slots(&[(2, 1)])), B),
        by_slots_to(call("closed among the slots").route(closed_slot), C),
        // The first call is admitted and leaves the bucket a day ahead; the second, refused, is the first that the quick
        // limit hears of.
        local(
            call("a slow one before leaves nothing")
                .route(limited(0))
                .given(first_call(now))
                .route(Route { local: QUICK, ..limited(0) })
                .given(first_call(now))
                .given(idle),
            c,
        ),
    ]
}

fn grants_of_b(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let call = |name: &str| row(format!("grant of B: {name}"), c.first(CALL));
    let granting = |mut route: Route, interval_ns| {
        route.out_interval_ns[2] = interval_ns;
        route
    };
    let (both, alone) = (weighted(&[(2, 1), (3, 1)]), by_slots(&[(2, 1)]));
    let given_to = |row: Row, number| to(row, number, &c.first(CALL), c);
    vec![
        given_to(call("closed, so C").route(granting(both, CLOSED)), C),
        // Turns: B takes the first, C the second; the third is B's, which is out of grant.
        given_to(
            call("used up, so C")
                .route(granting(both, ONE_A_DAY.interval_ns))
                .given(first_call(now))
                .given(first_call(now)),
            C,
        ),
        given_to(
            call("a tiny one before leaves nothing")
                .route(granting(alone, ONE_A_DAY.interval_ns))
                .given(first_call(now))
                .route(granting(alone, QUICK.interval_ns))
                .given(first_call(now))
                .given(idle),
            B,
        ),
    ]
}

/// Longer than [`QUICK`] and the ticks of the kernel's clock.
pub(crate) fn idle(_: &mut Bench) {
    std::thread::sleep(std::time::Duration::from_millis(60));
}

fn peers(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let first = c.first(CALL);
    let call = |name: &str| row(name, c.first(CALL)).route(weighted(&[(2, 1), (3, 1)]));
    vec![
        to(call("peer B expired, so C").peer(B, |p| p.expires_ns = 1), C, &first, c),
        to(call("peer B draining, so C").peer(B, |p| p.state = DRAINING), C, &first, c),
        to(call("peer B dead, so C").peer(B, |p| p.state = DEAD), C, &first, c),
        to(call("peer B without a seal, so C").peer(B, |p| p.send.epoch = 0), C, &first, c),
        to(call("peer B unknown, so C").without_peer(B), C, &first, c),
    ]
}

fn listeners(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let first = c.first(CALL);
    let call = |name: &str| row(name, c.first(CALL)).without_placed_listener();
    vec![
        to(call("no listener: by the slots").route(route_to_b()), B, &first, c),
        to(
            call("no listener: the slot behind ours").route(Route {
                shape: WEIGHTED,
                slots: weighted(&[(SLOT_LOCAL, 1), (2, 1)]).slots,
                ..route()
            }),
            B,
            &first,
            c,
        ),
    ]
}
